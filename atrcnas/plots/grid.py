"""One panel of the heat map: a table of targets and sources, a cell with a letter for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atrcnas.plots.canvas import FAINT, INK, SMALL_SIZE, text_width, wrap
from atrcnas.plots.page import Page
from atrcnas.plots.shades import cell_fill, ink_on
from atrcnas.spec.kinds import NONE, Kind
from atrcnas.spec.pairs import Pair

_MIN_CELL, _MAX_CELL, _MAX_NAME, _INSET = 0.76, 1.0, 2.2, 0.03
_AXIS, _PAD, _LINE = 0.27, 0.1, 0.15


class Grid:
    """Sizes of the table, the same for every level, and how it is drawn.

    Args:
        tasks: rows and columns, in order.
        titled: whether each panel says its level.
    """

    def __init__(self, tasks: Sequence[str], titled: bool) -> None:
        self.tasks = tuple(tasks)
        names = {task: wrap(task, _MAX_NAME) for task in tasks}
        widest = max(text_width(line) for lines in names.values() for line in lines)
        tallest = _LINE * max(len(lines) for lines in names.values())
        self._names = {task: "\n".join(lines) for task, lines in names.items()}
        self.cell = min(max(widest + 0.12, _MIN_CELL), _MAX_CELL)
        # Names too wide for a cell stand upright, not at a slant, where neighbours would run into each other.
        self._upright = widest + 0.08 > self.cell
        self._left = _AXIS + widest + _PAD
        self._top = (0.3 if titled else 0.0) + _AXIS + (widest if self._upright else tallest) + _PAD
        self._titled = titled
        title = text_width(_title(32), weight="bold") if titled else 0.0
        self.width = self._left + max(len(self.tasks) * self.cell, title)
        self.height = self._top + len(self.tasks) * self.cell

    def draw(self, page: Page, left: float, top: float, level: int) -> None:
        """Draw title, axis labels and names with the panel's top left corner at ``left``, ``top`` inches."""
        grid_left, grid_top, side = left + self._left, top + self._top, len(self.tasks) * self.cell
        axis_top = top
        if self._titled:
            page.text(grid_left, top + 0.08, _title(level), weight="bold")
            axis_top += 0.3
        page.text(grid_left + side / 2, axis_top + 0.08, "source (helps)", color=FAINT, ha="center")
        page.text(left + 0.08, grid_top + side / 2, "target (predicts)", color=FAINT, ha="center", rotation=90)
        for index, task in enumerate(self.tasks):
            middle = (index + 0.5) * self.cell
            page.text(grid_left - _PAD, grid_top + middle, self._names[task], ha="right", name="row")
            options: dict[str, Any] = {"ha": "center", "va": "bottom", "rotation": 90 if self._upright else 0}
            page.text(grid_left + middle, grid_top - _PAD, self._names[task], name="column", **options)

    def draw_cell(self, page: Page, left: float, top: float, pair: Pair, kind: Kind, probability: float | None) -> None:
        """Draw the choice of ``pair`` into the panel whose top left corner is at ``left``, ``top`` inches."""
        cell_left = left + self._left + self.tasks.index(pair.source) * self.cell
        cell_top = top + self._top + self.tasks.index(pair.target) * self.cell
        fill = cell_fill(kind, probability)
        page.box(cell_left + _INSET, cell_top + _INSET, self.cell - 2 * _INSET, fill, kind.colour)
        ink = FAINT if kind.name == NONE else ink_on(fill)
        centre, middle = cell_left + self.cell / 2, cell_top + self.cell * (0.5 if probability is None else 0.42)
        letter_size = 17.0 if len(kind.letter) == 1 else 13.0
        page.text(centre, middle, kind.letter, letter_size, str(pair), ha="center", weight="bold", color=ink)
        if probability is not None:
            ink = INK if ink == FAINT else ink
            below, text = cell_top + self.cell * 0.78, f"{probability:.2f}"
            page.text(centre, below, text, SMALL_SIZE, "probability", ha="center", color=ink)


def _title(level: int) -> str:
    return f"level {level} (1/{level} of the size)"
