"""Figures without global state: one style, sizes in inches, text measured before it is placed, equal bytes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_atomically

LineStyle = Literal["-"] | tuple[float, tuple[float, ...]]
DPI = 150
INK, FAINT, RULE = "#222222", "#6b6b6b", "#c8c8c8"
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 11.0, 9.0, 7.5
LINE_IN = 0.17
# DejaVu Sans comes with matplotlib, so the same inputs give the same picture on every machine.
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": LABEL_SIZE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8a8a8a",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": LABEL_SIZE,
    "axes.labelsize": LABEL_SIZE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": LABEL_SIZE,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "atrcnas",
}
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Our style for the ``with`` block, whatever the user's matplotlibrc says; their settings come back after it."""
    keep = ("backend", "interactive", "toolbar", "webagg", "savefig.directory")
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith(keep)}
    settings: dict[Any, Any] = {**defaults, **_STYLE}
    with matplotlib.rc_context(settings):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty white figure that draws with Agg."""
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_panel(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float, **options: Any) -> Axes:
    """Axes at a place counted in inches from the figure's top left corner."""
    width, height = figure.get_size_inches()
    box = (left_in / width, 1 - (top_in + height_in) / height, width_in / width, height_in / height)
    return figure.add_axes(box, **options)


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` atomically; the same figure gives the same bytes.

    Args:
        figure: from one of the ``draw_*`` functions.
        path: ``.png`` (150 dpi), ``.pdf`` or ``.svg``.

    Returns:
        ``path``.

    Raises:
        RunError: another suffix.
    """
    metadata = _METADATA.get(path.suffix.lower())
    if metadata is None:
        raise RunError(f"{path}: expected a .png, .pdf or .svg file, got '{path.suffix}'. Rename the output.")
    with styled():
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DPI, metadata=metadata))
    return path


def text_width(text: str, size: float = LABEL_SIZE, weight: str = "normal") -> float:
    """Width in inches of one line of ``text`` at ``size`` points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return float(TextToPath().get_text_width_height_descent(text, font, False)[0]) / 72


def wrap(text: str, width_in: float, size: float = LABEL_SIZE, weight: str = "normal") -> list[str]:
    """Break ``text`` into lines of at most ``width_in`` inches: at spaces, else after an underscore, else anywhere."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if text_width(joined, size, weight) <= width_in:
            line = joined
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and text_width(word, size, weight) > width_in:
            fits = next((n for n in range(len(word) - 1, 1, -1) if text_width(word[:n], size, weight) <= width_in), 1)
            at = word.rfind("_", 0, fits) + 1 or fits
            lines.append(word[:at])
            word = word[at:]
        line = word
    return [*lines, line]


def format_step(value: float, _position: int | None = None) -> str:
    """A step count in few characters: 500, 2k, 2.5k, 1.2M."""
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"


def step_axis(axes: Axes, num_ticks: int = 4) -> None:
    """Few, short, whole step ticks on the x axis."""
    axes.xaxis.set_major_locator(MaxNLocator(num_ticks, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(format_step))
