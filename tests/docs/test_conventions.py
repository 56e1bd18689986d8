"""The table of file conventions says of each task what its record in the task table says."""

from __future__ import annotations

import numpy as np
import pytest

from atrcnas.data.rasters import EXACT_SUFFIXES
from atrcnas.data.targets import TargetReader, ValueRule
from atrcnas.spec.tasks import TASKS, Task
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/data-conventions.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Your own data") : PAGE.index("## Rooms")]
HEAD, _, *LINES = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if line.startswith("|")
]
ROWS = {cells[0].strip("`"): dict(zip(HEAD, cells, strict=True)) for cells in LINES}


def test_every_task_of_the_table_has_one_row_and_no_other() -> None:
    assert set(ROWS) == set(TASKS.names)
    assert len(LINES) == len(TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_row_says_what_the_record_says(task: Task) -> None:
    row = ROWS[task.name]
    assert row["missing"].startswith(f"{task.missing:g}")
    assert row["unit"] == (task.unit if task.target == "scalar" else "")
    kind = {"classes": "int64", "scalar": "float32", "vector": "float32 unit vectors"}[task.target]
    assert row["after reading"].startswith(kind)
    two = task.target == "classes" and task.label_channels == 2
    assert ("0 and 255" in row["numbers in it"]) == two
    assert ("where it does not mean 1" in row["missing"]) == two
    if task.target == "classes":
        assert ".npy" in row["file"] or "as `" in row["file"]
        assert "JPEG" not in row["file"]
        assert EXACT_SUFFIXES == (".png", ".npy")


def test_directions_are_coded_as_the_page_says() -> None:
    """v = 2p/255 - 1, by the reader itself."""
    (task,) = (task for task in TASKS if task.target == "vector")
    assert "2p/255 - 1" in ROWS[task.name]["numbers in it"]
    values, valid = TargetReader(task, ValueRule()).decode(np.full((1, 1, 3), [255, 128, 128], np.uint8), ROOT)
    expected = 2 * np.array([255, 128, 128]) / 255 - 1
    assert values[0, 0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert valid.all()
