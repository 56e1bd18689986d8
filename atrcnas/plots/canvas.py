"""Figures without global state: one style, panels of a given size, equal bytes out."""

from __future__ import annotations

import re
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_atomically

INK, FAINT, RULE = "#222222", "#6b6b6b", "#c8c8c8"
LABEL_SIZE, SMALL_SIZE = 9.0, 7.5
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}


def styled() -> AbstractContextManager[None]:
    """Our style for a ``with`` block, whatever the user's matplotlibrc says."""
    return matplotlib.style.context("atrcnas.plots.figures", after_reset=True)


def new_figure(title: str, width_in: float, height_in: float) -> Figure:
    """An empty figure, to be made in our style, whose constrained layout leaves room for every word."""
    figure = Figure((width_in, height_in))
    figure.suptitle(fold(title, max(48, int(width_in * 9))), x=0.1 / width_in, ha="left")
    return figure


def panels(
    title: str, count: int, columns: int, panel_in: tuple[float, float], subtitle: str = ""
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, row by row; :func:`fit` gives them their size once all words are in.

    Args:
        title: of the figure.
        count: at least 1.
        columns: panels in one row.
        panel_in: width and height of a panel in inches.
        subtitle: below the title.
    """
    rows = -(-count // columns)
    width, height = columns * (panel_in[0] + 2) + 2, rows * (panel_in[1] + 1) + 4
    figure = new_figure(title, width, height)
    body: Figure | SubFigure = figure
    if subtitle:
        body = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
        text = fold(subtitle, max(60, int(width * 12)))
        body.suptitle(text, x=0.1 / width, ha="left", size=LABEL_SIZE, weight="normal", color=FAINT)
    axes = list(body.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def fit(figure: Figure, panel_in: tuple[float, float]) -> Figure:
    """Resize ``figure`` so that each panel is about ``panel_in`` inches large and no title or legend is wider."""
    aspects = {axes: axes.get_aspect() for axes in figure.axes}
    panel = figure.axes[0]
    spec = panel.get_subplotspec()
    for axes in aspects:
        axes.set_aspect("auto")  # a square within a wider panel would hide how much room its labels take
    for _ in range(2):  # again, since a colour bar grows and shrinks with its panel
        figure.draw_without_rendering()
        drawn = panel.get_position(original=True).transformed(panel.figure.transSubfigure)
        missing = np.array(panel_in) - np.array(drawn.size) / figure.dpi
        width, height = figure.get_size_inches() + missing * (spec.get_gridspec().get_geometry()[::-1] if spec else 1)
        figure.set_size_inches(width, height)
    widest = max(artist.get_window_extent().width for artist in [*figure.texts, *figure.legends])
    figure.set_size_inches(max(width, widest / figure.dpi + 0.4), height)
    for axes, aspect in aspects.items():
        axes.set_aspect(aspect)
    return figure


def legend_below(figure: Figure | SubFigure, width_in: float) -> None:
    """One legend for the labelled artists of all panels, what lies on top first, in as many columns as fit."""
    labelled = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes)
    named = {label: handle for pairs in labelled for handle, label in pairs}
    handles = sorted(named.values(), key=lambda handle: -handle.get_zorder())
    lengths = [len(str(handle.get_label())) for handle in handles]
    widths = {
        n: sum(0.6 + 0.075 * max(part) for part in np.array_split(lengths, n)) for n in range(1, len(lengths) + 1)
    }
    columns = max(n for n in widths if n == 1 or widths[n] <= width_in)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def fold(text: str, characters: int) -> str:
    """``text`` in lines of at most so many characters: broken at spaces, else after an underscore, else anywhere."""
    wrapper = textwrap.TextWrapper(characters)
    wrapper.wordsep_re = re.compile(r"(\s+)|(?<=_)")
    return "\n".join(wrapper.wrap(text))


def step_axis(axes: Axes, num_ticks: int = 4) -> None:
    """Few, short, whole step ticks on the x axis: 500, 2k, 2.5k, 1.2M."""

    def short(value: float, _position: int | None = None) -> str:
        limit, suffix = next(((n, s) for n, s in ((1e6, "M"), (1e3, "k")) if abs(value) >= n), (1, ""))
        return f"{value / limit:g}{suffix}"

    axes.xaxis.set_major_locator(MaxNLocator(num_ticks, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(short))


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` atomically to a ``.png`` (150 dpi), ``.pdf`` or ``.svg``; equal figures give equal bytes.

    Raises:
        RunError: another suffix.
    """
    metadata = _METADATA.get(path.suffix.lower())
    if metadata is None:
        raise RunError(f"{path}: expected a .png, .pdf or .svg file, got '{path.suffix}'. Rename the output.")
    with styled():
        write_atomically(path, lambda temporary: figure.savefig(temporary, metadata=metadata))
    return path
