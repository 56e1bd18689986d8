"""Tables that are filled row by row, and can be gone on with."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from atrcnas.runs.tables import Columns, Table, read_table

HOME = Path(__file__).resolve().parents[1] / "results"
CONFIRM, SEARCH = HOME / "planted_confirm.csv", HOME / "planted_search.csv"
Key = tuple[object, ...]


def read(path: Path, columns: Columns) -> pd.DataFrame:
    """The rows so far."""
    return read_table(path, columns) if path.is_file() else pd.DataFrame(columns=list(columns))


def fill(
    path: Path, columns: Columns, keys: Iterable[Key], measure: Callable[[Key], tuple[object, ...]], minutes: float
) -> None:
    """Measure each key that has no row yet, for so long; a key is the first cells of a row, ``measure`` gives the others."""
    began = time.monotonic()
    keys = list(keys)
    table = Table(path, columns)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        table.begin()
    for key in keys:
        # Read again each time: another process may be filling the same table.
        done = read(path, columns).iloc[:, : len(key)].itertuples(index=False, name=None)
        if time.monotonic() - began < 60 * minutes and key not in set(done):
            row = (*key, *measure(key))
            table.append([row])
            print(*row, file=sys.stderr)
