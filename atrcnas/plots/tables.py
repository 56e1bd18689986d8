"""Reading the engine's long-form csv files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError

METRIC_COLUMNS = ("step", "stage", "task", "name", "value")
_WAY_OUT = "Log it anew, or restore the file."


@dataclass(frozen=True)
class Series:
    """One quantity over steps, by rising step; the last row of a step counts, since a resumed run logs some twice."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, points: dict[int, float]) -> Series:
        """From value by step."""
        steps = sorted(points)
        return cls(np.array(steps, dtype=np.float64), np.array([points[step] for step in steps]))


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Line number and the fields of ``columns`` for every row; further columns are ignored.

    A last line without line end is left out: the run is just writing it.

    Raises:
        RunError: missing file or column, a row of another length, or no row.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: expected a csv file, got none to read ({error}). Check the run folder.") from error
    rows = csv.reader(text[: text.rfind("\n") + 1].splitlines())
    header = next(rows, [])
    missing = [name for name in columns if name not in header]
    if missing:
        got = f"{', '.join(header)} (without {', '.join(missing)})" if header else "an empty file"
        raise RunError(f"{path}: expected columns {', '.join(columns)}, got {got}. {_WAY_OUT}")
    places = [header.index(name) for name in columns]
    read: list[tuple[int, list[str]]] = []
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise RunError(f"{path}: line {number}: expected {len(header)} fields, got {len(row)}. {_WAY_OUT}")
        if row:
            read.append((number, [row[place] for place in places]))
    if not read:
        raise RunError(f"{path}: expected rows below the header, got none. Plot again when the run has logged a step.")
    return read


def number_in(path: Path, line: int, column: str, text: str) -> float:
    """A number; ``nan`` and ``inf`` are numbers.

    Raises:
        RunError: something else, told with file, line and column.
    """
    try:
        return float(text)
    except ValueError as error:
        raise RunError(f"{path}: line {line}: {column}: expected a number, got '{text}'. {_WAY_OUT}") from error


def whole_in(path: Path, line: int, column: str, text: str) -> int:
    """A whole number, such as a step.

    Raises:
        RunError: something else, told with file, line and column.
    """
    value = number_in(path, line, column, text)
    if not value.is_integer():
        raise RunError(f"{path}: line {line}: {column}: expected a whole number, got '{text}'. {_WAY_OUT}")
    return int(value)


def read_metrics(path: Path) -> dict[tuple[str, str, str], Series]:
    """Every quantity of a metrics file by (stage, task, name), in order of appearance; ``task`` is empty for totals.

    Raises:
        RunError: see :func:`read_rows` and :func:`number_in`.
    """
    points: dict[tuple[str, str, str], dict[int, float]] = {}
    for line, (step, stage, task, name, value) in read_rows(path, METRIC_COLUMNS):
        place = points.setdefault((stage, task, name), {})
        place[whole_in(path, line, "step", step)] = number_in(path, line, "value", value)
    return {key: Series.of(by_step) for key, by_step in points.items()}
