"""Figures without global state: one style, equal bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import fill

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import EngFormatter

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_atomically

INK, FAINT, RULE = "#222222", "#6b6b6b", "#c8c8c8"
SMALL_SIZE = 7.5
# By format, what would differ between two machines or moments.
_LEFT_OUT = {".png": ("Software",), ".pdf": ("CreationDate", "Producer"), ".svg": ("Date", "Creator")}


def styled() -> AbstractContextManager[None]:
    """Our style for a ``with`` block, whatever the user's matplotlibrc says."""
    return matplotlib.style.context("atrcnas.plots.figures", after_reset=True)


def new_figure(title: str, width_in: float, height_in: float) -> Figure:
    """An empty figure, to be made in our style."""
    figure = Figure((width_in, height_in))
    figure.suptitle(fill(title, int(width_in * 9)), x=0.1 / width_in, ha="left")
    return figure


def panels(title: str, count: int, columns: int, panel_in: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels of about ``panel_in`` (width, height) inches with their labels, row by row."""
    figure = new_figure(title, max(columns * panel_in[0], 4), -(-count // columns) * panel_in[1] + 1)
    return figure, grid(figure, count, columns)


def grid(figure: Figure | SubFigure, count: int, columns: int) -> list[Axes]:
    """``count`` panels in an empty figure, row by row."""
    axes = list(figure.subplots(-(-count // columns), columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    return axes[:count]


def legend_below(figure: Figure | SubFigure, width_in: float, handles: Sequence[Artist] = (), note: str = "") -> None:
    """One legend for the ``handles``, else for the labelled artists of all panels, in as many columns as fit."""
    shown = handles or [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    once = {str(handle.get_label()): handle for handle in shown}
    columns = max(1, int(width_in / (0.7 + 0.075 * max(map(len, once)))))
    options = {"title": note, "title_fontsize": SMALL_SIZE}
    figure.legend(handles=list(once.values()), loc="outside lower center", ncols=columns, **options)


def step_axis(axes: Axes, num_ticks: int = 4) -> None:
    """Few, short, whole step ticks on the x axis: 500, 2k, 2.5k, 1.2M."""
    axes.locator_params(axis="x", nbins=num_ticks, integer=True)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` atomically to a ``.png`` (150 dpi), ``.pdf`` or ``.svg``; equal figures give equal bytes.

    Raises:
        RunError: another suffix.
    """
    if (left_out := _LEFT_OUT.get(path.suffix.lower())) is None:
        raise RunError(f"{path}: expected a .png, .pdf or .svg file, got '{path.suffix}'. Rename the output.")
    with styled():
        write_atomically(path, lambda temporary: figure.savefig(temporary, metadata=dict.fromkeys(left_out)))
    return path
