"""Scores do not depend on how samples are divided: over processes, into batches, in which order."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrcnas.spec.tasks import TASKS
from tests.unit.objectives.metric_process import NUM_SAMPLES, SHARES, WORLD, figures

ROOT = Path(__file__).resolve().parents[3]
# Sums of float64 over pixels, whose last bits follow the order of addition; all other figures come from whole numbers.
SUMMED = {"rmse", "abs_rel", "mean_error"}
Found = dict[str, dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of several real processes computed: task -> division -> figures."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.unit.objectives.metric_process"]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(WORLD)
    ]
    try:
        for process in running:
            _, warned = process.communicate(timeout=120)
            assert process.returncode == 0, warned
    finally:
        for process in running:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(WORLD)]


@functools.cache
def whole(name: str) -> dict[str, float]:
    """Figures of a task, from one process and one batch."""
    return figures(TASKS[name], [list(range(NUM_SAMPLES))])


def check(found: dict[str, float], task: str) -> None:
    assert found.keys() == whole(task).keys()
    for name, value in whole(task).items():
        assert found[name] == (pytest.approx(value, rel=1e-12, abs=0) if name in SUMMED else value), name


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", TASKS.names)
def test_several_processes_find_what_one_finds(ranks: list[Found], name: str, share: str) -> None:
    assert sorted(i for batches in SHARES[share] for batch in batches for i in batch) == list(range(NUM_SAMPLES))
    for rank in range(WORLD):
        check(ranks[rank][name][share], name)
    assert ranks[0][name][share] == ranks[1][name][share], "the best checkpoint is chosen on every rank"


@pytest.mark.parametrize("name", TASKS.names)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(order=st.permutations(range(NUM_SAMPLES)), cuts=st.sets(st.integers(1, NUM_SAMPLES - 1)))
def test_figures_depend_neither_on_the_batch_split_nor_on_the_order(
    name: str, order: list[int], cuts: set[int]
) -> None:
    bounds = [0, *sorted(cuts), NUM_SAMPLES]
    batches = [order[start:stop] for start, stop in itertools.pairwise(bounds)]
    check(figures(TASKS[name], batches), name)
