"""What a search has spent and the best score it has found for that: budget.csv, the same columns for every strategy."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

from atrcnas.engine.records import Table

BUDGET_COLUMNS = ("strategy", "trial", "step", "seconds", "score", "best")


class Budget:
    """Rows by rising cost.

    Columns: ``trial``, configs scored (1 throughout in a search by gradient); ``step``, training steps of all trials
    together; ``seconds``, of all trials together, of one after the other, whatever ran at once; ``score``, what was
    found there, ``best`` until there, higher is better.

    Args:
        path: budget.csv.
        strategy: the word in the first column.
        writes: whether this process is the one that writes.
    """

    def __init__(self, path: Path, strategy: str, writes: bool = True) -> None:
        self.table, self.strategy = Table(path, BUDGET_COLUMNS, writes), strategy
        self.best, self._before, self._began = -math.inf, 0.0, time.monotonic()

    def go_on(self) -> None:
        """Count on from the last row; what a kill lost is spent anew and counted once."""
        rows = _rows(self.table.path)
        if rows:
            self.best, self._before = float(rows[-1]["best"]), float(rows[-1]["seconds"])

    def add(self, trial: int, step: int, score: float, seconds: float | None = None) -> None:
        """Add a row.

        Args:
            trial: configs scored.
            step: training steps spent.
            score: found there.
            seconds: spent; by the clock since the search began if None.
        """
        spent = self._before + time.monotonic() - self._began if seconds is None else seconds
        self.best = max(self.best, score)
        self.table.append([(self.strategy, trial, step, f"{spent:.2f}", f"{score:.6g}", f"{self.best:.6g}")])


def spent(path: Path) -> tuple[int, float]:
    """Steps and seconds of a search's last row; zeros if it kept no account."""
    rows = _rows(path)
    return (int(rows[-1]["step"]), float(rows[-1]["seconds"])) if rows else (0, 0.0)


def _rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of the file; a last line without end was torn off by a kill."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
