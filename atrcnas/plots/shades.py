"""Colours of kinds on paper: blended towards white, dark enough for a line, readable under text."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from atrcnas.plots.canvas import INK
from atrcnas.spec.kinds import KINDS, Kind

# Share of colour left at intensity 0, so that the kind can still be told.
_FLOOR = 0.15
_RGB_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_DASHES: tuple[Any, ...] = (
    (0, (1, 1.2)),
    "-",
    (0, (5, 1.5)),
    (0, (3, 1, 1, 1)),
    (0, (8, 1.5, 1, 1.5)),
    (0, (2, 1)),
    (0, (6, 1, 1, 1, 1, 1)),
)


def luminance(colour: str) -> float:
    """Relative luminance in [0, 1]; 1 is white."""
    rgb = np.array(to_rgb(colour))
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ _RGB_LUMINANCE)


def blend(colour: str, share: float, other: str = "white") -> str:
    """``share`` of ``colour`` and the rest of ``other``, as hex."""
    mixed = share * np.array(to_rgb(colour)) + (1 - share) * np.array(to_rgb(other))
    return to_hex(tuple(np.clip(mixed, 0, 1)))


def faded(colour: str, intensity: float | None) -> str:
    """Full colour at ``intensity`` 1 (or None), still recognisable at 0."""
    return blend(colour, 1.0 if intensity is None else _FLOOR + (1 - _FLOOR) * min(max(intensity, 0.0), 1.0))


def ink_on(fill: str) -> str:
    """Dark or white, whichever reads better on ``fill``."""
    return INK if luminance(fill) > 0.213 else "#ffffff"


def line_of(kind: Kind) -> dict[str, Any]:
    """Colour, darkened where it would vanish as a thin line on white, and dashes, so that lines differ in grey too."""
    colour = kind.colour if luminance(kind.colour) < 0.5 else blend(kind.colour, 0.72, "black")
    return {"color": colour, "linestyle": _DASHES[KINDS.names.index(kind.name) % len(_DASHES)], "linewidth": 1.3}
