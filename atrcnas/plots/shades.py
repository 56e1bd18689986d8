"""Colours of kinds on paper: blended towards white, dark enough for a line, readable under text."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.canvas import INK, LineStyle
from atrcnas.spec.kinds import KINDS, Kind

# Share of colour left at probability 0, so that the kind can still be told.
CELL_FLOOR = 0.15
_RGB_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_LINE_STYLES: tuple[LineStyle, ...] = (
    (0, (1, 1.2)),
    "-",
    (0, (5, 1.5)),
    (0, (3, 1, 1, 1)),
    (0, (8, 1.5, 1, 1.5)),
    (0, (2, 1)),
    (0, (6, 1, 1, 1, 1, 1)),
)


def kind_record(name: str, where: str) -> Kind:
    """The kind called ``name``.

    Raises:
        RunError: not registered; ``where`` is the file that names it.
    """
    try:
        return KINDS[name]
    except ConfigError as error:
        raise RunError(f"{where}: {error} If a plugin defines it, load the plugin first.") from error


def luminance(colour: str) -> float:
    """Relative luminance in [0, 1]; 1 is white."""
    rgb = np.array(to_rgb(colour))
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ _RGB_LUMINANCE)


def blend(colour: str, share: float, other: str = "white") -> str:
    """``share`` of ``colour`` and the rest of ``other``, as hex."""
    mixed = share * np.array(to_rgb(colour)) + (1 - share) * np.array(to_rgb(other))
    return to_hex(tuple(np.clip(mixed, 0, 1)))


def cell_fill(kind: Kind, probability: float | None) -> str:
    """Fill of a heat map cell: full colour at probability 1 (or none known), still recognisable near 0."""
    return blend(
        kind.colour, 1.0 if probability is None else CELL_FLOOR + (1 - CELL_FLOOR) * min(max(probability, 0.0), 1.0)
    )


def ink_on(fill: str) -> str:
    """Dark or white, whichever reads better on ``fill``."""
    return INK if luminance(fill) > 0.213 else "#ffffff"


def line_colour(kind: Kind) -> str:
    """The kind's colour, darkened where it would vanish as a thin line on white."""
    return kind.colour if luminance(kind.colour) < 0.5 else blend(kind.colour, 0.72, "black")


def line_style(kind: Kind) -> LineStyle:
    """Dash pattern by order of registration, so that lines differ without colour."""
    return _LINE_STYLES[KINDS.names.index(kind.name) % len(_LINE_STYLES)]
