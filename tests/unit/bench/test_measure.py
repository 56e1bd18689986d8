"""The yardsticks: turns are shared out evenly, peaks are bytes, the table says what was measured."""

from __future__ import annotations

import pytest
import torch

from analysis.bench.measure import interleaved, peak_mib, ratios
from analysis.bench.rows import ROWS
from analysis.bench.table import markdown


def test_steps_take_turns_in_changing_order_and_warmup_is_not_timed() -> None:
    called: list[tuple[str, int]] = []
    steps = {name: lambda turn, name=name: called.append((name, turn)) for name in "ab"}
    found = interleaved(steps, "cpu", repeats=3, warmup=1)
    assert called == [(n, t) for t, names in ((-1, "ab"), (0, "ba"), (1, "ab"), (2, "ba")) for n in names]
    assert [len(side["seconds"]) for side in found.values()] == [3, 3]


def test_peak_counts_what_is_alive_at_once() -> None:
    megabyte = 2**20 // 4

    def step(turn: int) -> None:
        first = torch.ones(3 * megabyte)
        second = first + 1
        del first
        torch.ones(2 * megabyte).sum()
        del second

    assert peak_mib(step, "cpu") == pytest.approx(6, abs=0.1)


def test_ratio_is_of_medians() -> None:
    ours = {"median_s": 1.0, "seconds": [1.0, 1.0, 4.0], "peak_mib": 1.0}
    other = {"median_s": 2.0, "seconds": [2.0, 4.0, 2.0], "peak_mib": 4.0}
    assert ratios(ours, other) == {"time": 0.5, "time_spread": [0.375, 1.25], "memory": 0.25}


def test_the_table_has_a_line_for_each_row_and_leaves_unmeasured_cells_empty() -> None:
    sides = {"ours": {"median_s": 0.1}, "reference": {"median_s": 0.5}}
    row = {"targets": {"time": 0.25, "memory": 0.4}, "ratio": {"time": 0.2, "memory": 0.5}, "sides": sides}
    result = {
        "machine": {"name": "some CPU", "threads": 2},
        "setup": {"device": "cpu", "batch": 2, "image_size": [128, 160]},
        "rows": {"soft": row},
    }
    lines = markdown([result]).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert "time 0.20x (target 0.25x, met); memory 0.50x (target 0.4x, missed); 100.0 / 500.0 ms" in lines[2]
    assert lines[3].endswith("|  |")
