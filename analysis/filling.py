"""Tables that are filled row by row, and can be gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from atrcnas.runs.tables import Columns, Table, read_table

Key = TypeVar("Key", bound=tuple[Any, ...])


def read(path: Path, columns: Columns) -> pd.DataFrame:
    """The rows so far."""
    return read_table(path, columns) if path.is_file() else pd.DataFrame(columns=list(columns))


def begun(path: Path, columns: Columns) -> Table:
    """The table at ``path``, with its header if it was not there."""
    table = Table(path, columns)
    if not path.is_file():
        table.begin()
    return table


def left(keys: Iterable[Key], rows: Callable[[], pd.DataFrame]) -> Iterator[Key]:
    """The keys without a row; a key is the first cells of one.

    Args:
        keys: of all rows, in the order in which they are to be measured.
        rows: reads the table. It is called for each key, since another process may be filling the same table.
    """
    for key in keys:
        if key not in set(rows().iloc[:, : len(key)].itertuples(index=False, name=None)):
            yield key


def fill(
    path: Path,
    columns: Columns,
    keys: Iterable[Key],
    measure: Callable[..., Mapping[str, Any]],
    minutes: float = float("inf"),
) -> Iterator[dict[str, Any]]:
    """Measure each key that has no row yet; each row is in the table when it is yielded.

    Args:
        path: the table; begun if it is not there.
        columns: its columns, those of the key first.
        keys: of all rows, in the order in which they are to be measured.
        measure: gets the cells of a key and gives at least the other cells of its row, by column.
        minutes: no row is begun after so long.
    """
    began, table = time.monotonic(), begun(path, columns)
    for key in left(keys, lambda: read(path, columns)):
        if time.monotonic() - began > 60 * minutes:
            return
        found = {**dict(zip(columns, key, strict=False)), **measure(*key)}
        table.append([tuple(found[column] for column in columns)])
        yield found
