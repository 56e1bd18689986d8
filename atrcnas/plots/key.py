"""The legend of kinds: letter and colour, name, one line of what it is."""

from __future__ import annotations

from collections.abc import Sequence

from atrcnas.plots.canvas import FAINT, LABEL_SIZE, LINE_IN, text_width, wrap
from atrcnas.plots.page import Page
from atrcnas.plots.shades import ink_on
from atrcnas.spec.kinds import Kind

_SWATCH, _MAX_NAME, _MAX_DESCRIPTION, _COLUMN_GAP = 0.24, 2.0, 4.2, 0.35


class Key:
    """Measures itself, folds into as many columns as fit, then draws.

    Args:
        kinds: what to explain, in order.
        page_width: inches at hand; a key needs at least ``entry_width``.
    """

    def __init__(self, kinds: Sequence[Kind], page_width: float) -> None:
        self._names = {kind.name: wrap(kind.name, _MAX_NAME, weight="bold") for kind in kinds}
        self._descriptions = {kind.name: wrap(kind.description, _MAX_DESCRIPTION) for kind in kinds}
        self._name_width = max(text_width(line, weight="bold") for lines in self._names.values() for line in lines)
        description = max(text_width(line) for lines in self._descriptions.values() for line in lines)
        self.entry_width = _SWATCH + 0.12 + self._name_width + 0.16 + description
        fitting = int((page_width + _COLUMN_GAP) // (self.entry_width + _COLUMN_GAP))
        per_column = -(-len(kinds) // max(1, fitting))
        self._columns = [kinds[start : start + per_column] for start in range(0, len(kinds), per_column)]
        self.width = len(self._columns) * (self.entry_width + _COLUMN_GAP) - _COLUMN_GAP
        self.height = max(sum(self._height(kind) for kind in column) for column in self._columns)

    def _height(self, kind: Kind) -> float:
        num_lines = max(len(self._names[kind.name]), len(self._descriptions[kind.name]))
        return max(_SWATCH + 0.07, LINE_IN * num_lines + 0.12)

    def draw(self, page: Page, left: float, top: float) -> None:
        """Draw with the top left corner at ``left``, ``top`` inches."""
        for index, column in enumerate(self._columns):
            entry_top = top
            for kind in column:
                self._draw_entry(page, kind, left + index * (self.entry_width + _COLUMN_GAP), entry_top)
                entry_top += self._height(kind)

    def _draw_entry(self, page: Page, kind: Kind, left: float, top: float) -> None:
        middle = top + self._height(kind) / 2
        page.box(left, middle - _SWATCH / 2, _SWATCH, kind.colour, kind.colour)
        page.text(left + _SWATCH / 2, middle, kind.letter, ha="center", weight="bold", color=ink_on(kind.colour))
        name_left = left + _SWATCH + 0.12
        page.text(name_left, middle, "\n".join(self._names[kind.name]), weight="bold")
        description = "\n".join(self._descriptions[kind.name])
        page.text(name_left + self._name_width + 0.16, middle, description, LABEL_SIZE, color=FAINT)
