"""The tables of a run: CSV files in long form that only grow, and that a kill may leave with a torn last line."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import sync_file, write_text, writing_to
from atrcnas.ground.opening import read_regular

# Column -> type, in the order of the file; ``step`` counts completed steps.
Columns = Mapping[str, type]
METRICS: Columns = {"step": int, "stage": str, "task": str, "name": str, "value": float}
LOGITS: Columns = {
    "step": int,
    "level": int,
    "target": str,
    "source": str,
    "kind": str,
    "logit": float,
    "probability": float,
    "committed": int,
}
BRANCHES: Columns = {"step": int, "point": str, "task": str, "copy": int, "logit": float, "probability": float}
BUDGET: Columns = {"strategy": str, "trial": int, "step": int, "seconds": float, "score": float, "best": float}
IMPORTANCE: Columns = {
    "level": int,
    "target": str,
    "source": str,
    "kind": str,
    "task": str,
    "drop": float,
    "split": str,
}
CONFUSION: Columns = {"task": str, "truth": int, "prediction": int, "pixels": int}
_MAX_BYTES = 10**9
_HINT = "Run the stage again, or restore the file."


class Table:
    """A table that is being written.

    Args:
        path: the file.
        columns: its columns.
        writes: whether this process is the one that writes.
    """

    def __init__(self, path: Path, columns: Columns, writes: bool = True) -> None:
        self.path, self.columns, self.writes = path, tuple(columns), writes

    def begin(self, rows: Iterable[tuple[object, ...]] = ()) -> None:
        """Create the file with its header and some rows, replacing an earlier one; all of it, or nothing."""
        if self.writes:
            write_text(self.path, ",".join(self.columns) + "\n" + _lines(rows))

    def append(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Add rows.

        Raises:
            RunError: the file cannot be written.
        """
        if not self.writes:
            return
        with writing_to(self.path), self.path.open("a", newline="", encoding="utf-8") as stream:
            stream.write(_lines(rows))

    def size(self) -> int:
        """Bytes written so far, and now safely on the disk.

        Raises:
            RunError: they cannot be written.
        """
        if not self.writes:
            return 0
        self.sync()
        return self.path.stat().st_size

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            RunError: it cannot be written.
        """
        with writing_to(self.path):
            sync_file(self.path)

    def cut(self, size: int) -> None:
        """Drop what was written after a checkpoint, since the resumed run writes it again.

        Raises:
            RunError: the file is shorter than it was then, or cannot be written.
        """
        if not self.writes:
            return
        found = self.path.stat().st_size if self.path.is_file() else 0
        if found < size:
            raise RunError(
                f"{self.path}: expected at least {size} bytes, as at the checkpoint, got {found}. "
                "Restore the file, or start over."
            )
        with writing_to(self.path):
            os.truncate(self.path, size)


def metric_rows(step: int, stage: str, task: str, values: Mapping[str, float]) -> list[tuple[object, ...]]:
    """Rows of metrics.csv; ``task`` is empty for totals."""
    return [(step, stage, task, name, value) for name, value in values.items()]


def _lines(rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_written, row) for row in rows)
    return text.getvalue()


def _written(value: object) -> object:
    if not isinstance(value, float):
        return value
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def read_table(path: Path, columns: Columns) -> pd.DataFrame:
    """The whole rows of a table, indexed by line number; further columns are left out.

    A last line without a line end is left out too: the run is still writing it, or was killed while it did.

    Raises:
        RunError: missing file or column, a row of another length, or a value of another type.
    """
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: expected a csv file, got none to read ({error}). Check the run folder.") from error
    header, found = _rows(path, text[: text.rfind("\n") + 1])
    missing = [name for name in columns if name not in header]
    if missing:
        got = f"{', '.join(header)} (without {', '.join(missing)})" if header else "an empty file"
        raise RunError(f"{path}: expected columns {', '.join(columns)}, got {got}. {_HINT}")
    if len(set(header)) < len(header):
        raise RunError(f"{path}: expected each column once, got {', '.join(header):.200}. {_HINT}")
    for line, row in found.items():
        if len(row) != len(header):
            raise RunError(f"{path}: line {line}: expected {len(header)} fields, got {len(row)}. {_HINT}")
    table = pd.DataFrame(list(found.values()), columns=header, index=list(found), dtype=str)[list(columns)]
    for name, kind in columns.items():
        if kind is not str:
            table[name] = _numbers(path, table[name], whole=kind is int)
    return table


def _rows(path: Path, text: str) -> tuple[list[str], dict[int, list[str]]]:
    """The first row, and the others that hold something by their line."""
    rows = csv.reader(text.splitlines())
    try:
        header = next(rows, [])
        return header, {line: row for line, row in enumerate(rows, start=2) if row}
    except csv.Error as error:
        raise RunError(f"{path}: line {rows.line_num}: expected csv, got something else ({error}). {_HINT}") from error


def _numbers(path: Path, texts: pd.Series[str], whole: bool) -> pd.Series[Any]:
    """Numbers from texts; ``nan`` and ``inf`` are numbers, but not whole ones."""
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    for bad, expected in (
        (numbers.isna() & (texts.str.lower() != "nan"), "a number"),
        (whole & ((numbers % 1 != 0) | (numbers.abs() >= 2.0**63)), "a whole number of at most 64 bits"),
    ):
        if bad.any():
            line, got = next(zip(texts.index[bad], texts[bad], strict=True))
            raise RunError(f"{path}: line {line}: {texts.name}: expected {expected}, got '{got}'. {_HINT}")
    return numbers.astype(int) if whole else numbers


def read_some(path: Path, columns: Columns) -> pd.DataFrame:
    """:func:`read_table`, where an empty table is of no use.

    Raises:
        RunError: there are none, or see :func:`read_table`.
    """
    table = read_table(path, columns)
    if table.empty:
        raise RunError(f"{path}: expected rows below the header, got none. Plot again when the run has logged a step.")
    return table


@dataclass(frozen=True)
class Series:
    """One quantity over steps, by rising step."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]


def read_metrics(path: Path) -> dict[tuple[str, str, str], Series]:
    """Every quantity of a metrics file by (stage, task, name), in order of appearance; ``task`` is empty for totals.

    The last row of a step counts, since a resumed run logs some steps twice.

    Raises:
        RunError: see :func:`read_some`.
    """
    found: dict[tuple[str, str, str], Series] = {}
    for key, rows in read_some(path, METRICS).groupby(["stage", "task", "name"], sort=False):
        once = rows.drop_duplicates("step", keep="last").sort_values("step")
        stage, task, name = map(str, key)
        found[stage, task, name] = Series(once["step"].to_numpy(float), once["value"].to_numpy(float))
    return found
