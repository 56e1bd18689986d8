"""Tables of targets and sources with a coloured cell per pair, drawn from a plain description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

from atrcnas.plots.canvas import FAINT, INK, SMALL_SIZE, fit, fold, panels, styled
from atrcnas.plots.shades import faded, ink_on
from atrcnas.spec.pairs import Pair

_CELL_IN, _INSET = 0.85, 0.03
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}


@dataclass(frozen=True)
class Cell:
    """What is shown of one pair.

    Attributes:
        letters: of the kinds in the cell, side by side.
        colours: one hex colour per letter.
        intensity: 0 (pale) to 1 (full colour); None for full colour.
        number: text below the letters.
        mark: one character in the corner, such as "?" for an undecided pair.
    """

    letters: tuple[str, ...]
    colours: tuple[str, ...]
    intensity: float | None = None
    number: str = ""
    mark: str = ""


class Entry(NamedTuple):
    """A line of the key; of a mark the colour is white."""

    letter: str
    colour: str
    name: str
    description: str


def draw_cells(
    cells: Mapping[Pair, Cell], key: Sequence[Entry], title: str, subtitle: str = "", scale: str = "", note: str = ""
) -> Figure:
    """Draw targets as rows and sources as columns, one table per level.

    Args:
        cells: by pair; tasks come in the order of the pairs.
        key: what the letters mean.
        title: of the figure.
        subtitle: below it.
        scale: what number and intensity mean; "" leaves out the colour bar.
        note: a line above the key.
    """
    levels, targets, sources = (
        list(dict.fromkeys(getattr(pair, part) for pair in cells)) for part in ("level", "target", "source")
    )
    side = max(_CELL_IN, 1.2 / len(targets))  # the label beside a single row needs its length
    size = (side * len(sources), side * len(targets))
    across = len(levels) if len(levels) <= 2 or len(sources) <= 2 else 2
    with styled():
        figure, axes = panels(title, len(levels), across, size, subtitle)
        for level, panel in zip(levels, axes, strict=True):
            _draw_frame(panel, targets, sources, f"level {level} (1/{level} of the size)" if len(levels) > 1 else "")
        for pair, cell in cells.items():
            corner = (sources.index(pair.source), targets.index(pair.target))
            _draw_cell(axes[levels.index(pair.level)], *corner, cell, str(pair))
        if scale:
            greys = ScalarMappable(cmap=LinearSegmentedColormap.from_list("", [faded("#555555", 0), "#555555"]))
            bar = axes[0].figure.colorbar(greys, ax=axes, location="bottom", aspect=50, shrink=0.8, pad=0.03)
            bar.set_label(scale, size=SMALL_SIZE)
        _draw_key(figure, key, note, folds=int(across * (size[0] + 1.5) // 5))
        return fit(figure, size)


def _draw_frame(axes: Axes, targets: Sequence[str], sources: Sequence[str], title: str) -> None:
    axes.set(xlim=(0, len(sources)), ylim=(len(targets), 0), aspect="equal", title=fold(title, 11 * len(sources)))
    axes.set_xlabel("source (helps)", labelpad=6)
    axes.set_ylabel("target (predicts)", labelpad=6)
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    options: dict[str, Any] = {"size": "medium", "color": INK}
    axes.set_xticks([n + 0.5 for n in range(len(sources))], [fold(name, 11) for name in sources], **options)
    axes.set_yticks([n + 0.5 for n in range(len(targets))], [fold(name, 22) for name in targets], **options)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_cell(axes: Axes, left: int, top: int, cell: Cell, name: str) -> None:
    """One box, with as many stripes and letters as there are kinds."""
    side, count = 1 - 2 * _INSET, len(cell.letters)
    shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": "none", "linewidth": 1.6}
    box = FancyBboxPatch((left + _INSET, top + _INSET), side, side, edgecolor=cell.colours[0], zorder=2, **shape)
    axes.add_patch(box)
    fills = [faded(colour, cell.intensity) for colour in cell.colours]
    size = 17 if max(map(len, cell.letters)) == count == 1 else 13
    for index, (letter, fill) in enumerate(zip(cell.letters, fills, strict=True)):
        axes.add_patch(Rectangle((left + index / count, top), 1 / count, 1, facecolor=fill)).set_clip_path(box)
        place = (left + 0.5 + 0.4 * (index - (count - 1) / 2), top + (0.42 if cell.number else 0.5))
        axes.text(*place, letter, size=size, weight="bold", color=ink_on(fill), gid=name, **_CENTRED)
    axes.text(left + 0.5, top + 0.78, cell.number, size=SMALL_SIZE, color=ink_on(fills[0]), **_CENTRED)
    axes.text(left + 0.86, top + 0.16, cell.mark, weight="bold", color=ink_on(fills[-1]), **_CENTRED)


def _draw_key(figure: Figure, key: Sequence[Entry], note: str, folds: int) -> None:
    """Badges with names, and descriptions, in ``folds`` pairs of columns: a legend is filled column by column."""
    rows = -(-len(key) // max(1, folds))
    blank = Line2D([], [], linestyle="none")
    table: list[tuple[Any, str]] = []
    for start in range(0, len(key), rows):
        part = key[start : start + rows]
        empty = [(blank, "")] * (rows - len(part))
        table += [(entry, entry.name) for entry in part] + empty
        table += [(blank, entry.description) for entry in part] + empty
    legend = figure.legend(
        *zip(*table, strict=True),
        loc="outside lower center",
        ncols=len(table) // rows,
        handler_map={Entry: _Badge()},
        handlelength=1.6,
        handleheight=1.6,
        columnspacing=1,
        title=note or None,
        title_fontsize=SMALL_SIZE,
    )
    for index, text in enumerate(legend.get_texts()):
        is_name = index // rows % 2 == 0
        text.set(weight="bold" if is_name else "normal", color=INK if is_name else FAINT)


class _Badge(HandlerBase):
    """A square with the letter in it."""

    def create_artists(self, legend: Any, orig_handle: Any, *box: Any) -> list[Artist]:
        """See matplotlib's ``HandlerBase``."""
        x, y, width, height, _, transform = box
        square = Rectangle((-x, -y), width, height, facecolor=orig_handle.colour, transform=transform)
        letter = Text(width / 2 - x, height / 2 - y, orig_handle.letter, weight="bold", transform=transform)
        letter.set(color=ink_on(orig_handle.colour), **_CENTRED)
        return [square, letter]
