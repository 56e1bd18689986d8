"""Tables that are filled row by row: each row once, what stands is kept, and nothing is begun when the time is over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from analysis.filling import fill
from atrcnas.runs.tables import Columns

COLUMNS: Columns = {"name": str, "seed": int, "score": float}
KEYS = [("a", 0), ("b", 0), ("a", 1)]


def measured(name: str, seed: int) -> dict[str, Any]:
    return {"score": seed + 0.5, "more": name}


def test_each_row_is_measured_once_and_those_of_another_process_are_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.csv"
    rows = fill(path, COLUMNS, KEYS, measured)
    assert next(rows) == {"name": "a", "seed": 0, "score": 0.5, "more": "a"}
    assert path.read_text() == "name,seed,score\na,0,0.5\n"
    with path.open("a") as stream:
        stream.write("b,0,7\n")
    assert [row["seed"] for row in rows] == [1]
    assert path.read_text() == "name,seed,score\na,0,0.5\nb,0,7\na,1,1.5\n"
    assert list(fill(path, COLUMNS, KEYS, measured)) == []


def test_no_row_is_begun_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(name: str, seed: int) -> dict[str, Any]:
        now[0] += 50.0
        return measured(name, seed)

    assert len(list(fill(tmp_path / "rows.csv", COLUMNS, KEYS, slow, minutes=1))) == 2
    assert len(list(fill(tmp_path / "rows.csv", COLUMNS, KEYS, slow, minutes=1))) == 1
