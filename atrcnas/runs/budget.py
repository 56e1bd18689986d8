"""What a search has spent and the best score it has found with it: budget.csv, the same columns for every strategy."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from atrcnas.runs.tables import BUDGET, Table, read_table


class Budget:
    """Rows by rising cost.

    Columns: ``trial``, configs scored (1 throughout in a search by gradient); ``step``, training steps of all trials
    together; ``seconds``, of all trials together, as if run sequentially; ``score``, what was found there, ``best``
    until there, higher is better.

    Args:
        path: budget.csv.
        strategy: the word in the first column.
        writes: whether this process is the one that writes.
    """

    def __init__(self, path: Path, strategy: str, writes: bool = True) -> None:
        self.table, self.strategy = Table(path, BUDGET, writes), strategy
        self.best, self._before, self._began = -math.inf, 0.0, time.monotonic()

    def go_on(self) -> None:
        """Count on from the last row; what a kill lost is spent again but counted once."""
        rows = _rows(self.table.path)
        if not rows.empty:
            self.best, self._before = float(rows["best"].iloc[-1]), float(rows["seconds"].iloc[-1])

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
        self.table.append([(self.strategy, trial, step, f"{spent:.2f}", score, self.best)])


class Spent(NamedTuple):
    """The last row of an account.

    Attributes:
        step: training steps.
        seconds: of them.
        score: found last.
    """

    step: int = 0
    seconds: float = 0.0
    score: float = math.nan


def spent(path: Path) -> Spent:
    """What a search has spent, and found for that; nothing if it kept no account."""
    rows = _rows(path)
    if rows.empty:
        return Spent()
    last = rows.iloc[-1]
    return Spent(int(last["step"]), float(last["seconds"]), float(last["score"]))


def _rows(path: Path) -> pd.DataFrame:
    return read_table(path, BUDGET) if path.is_file() else pd.DataFrame()
