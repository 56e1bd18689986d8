"""Jobs that meet a fault or lose power at any of their file operations, and are resumed: the same files, or one message.

A fault: the disk is full from that operation on, or the operation alone fails with an I/O error. The job then ends by one
message, or goes on. A power loss: the disk holds what was synced, and any part of the rest (disk.py). Whatever is left, a
resumed job ends without a message, with the files of an undisturbed one, bit for bit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from atrcnas import Experiment, search
from atrcnas.engine.checkpoints import Checkpoints
from tests.faults.disk import Disk
from tests.faults.jobs import BASE, JOBS
from tests.faults.layer import Layer
from tests.faults.points import Points, differing
from tests.results import record

FAULTS = ("full", "error")
SEEDS = 3  # of the states tried per power loss; the first two are the extremes
SAMPLED = {"search, retrain, evaluate": (9, 5), "search by trials": (4, 3), "sweep": (4, 3)}


def try_points(
    points: Points, losses: Iterable[tuple[int, int]], faults: Iterable[tuple[int, str]]
) -> tuple[list[str], int]:
    """Everything that went wrong, and how many faults ended by a message."""
    wrong, told = [], 0
    for number, seed in losses:
        if outcome := points.resume(points.power_loss(number, seed)):
            wrong.append(f"power loss in {points.layer.done[number]}, seed {seed}: {outcome}")
    for number, name in faults:
        fault = points.fault(number, name)
        told += bool(fault.message)
        problems = (fault.wrong, points.resume(fault.state))
        wrong += [f"{name} at {number}: {problem}" for problem in problems if problem]
    return [f"{points.job.name}: {each}" for each in wrong], told


@pytest.mark.parametrize("name", JOBS)
def test_a_sample_of_points(name: str, tmp_path: Path) -> None:
    points, chance = Points(JOBS[name], tmp_path), random.Random(f"{name} 1")
    assert points.escaped == [], "written by code that the simulation does not see"
    lost = set(differing(Disk(points.layer.done).synced(), points.result)) & points.result.keys()
    assert not lost, "though the job has ended"
    num_losses, num_faults = SAMPLED[name]
    losses = [(chance.randrange(len(points.layer.done)), chance.randrange(2, 10**6)) for _ in range(num_losses)]
    faults = [(chance.randrange(points.layer.count), FAULTS[number % 2]) for number in range(num_faults)]
    assert try_points(points, losses, faults)[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_every_point(name: str, tmp_path: Path) -> None:
    points, began = Points(JOBS[name], tmp_path), time.process_time()
    losses = [(number, seed) for number in range(len(points.layer.done)) for seed in range(SEEDS)]
    faults = [(number, fault) for number in range(points.layer.count) for fault in FAULTS]
    wrong, told = try_points(points, losses, faults)
    assert wrong == []
    record(
        f"test_every_point: {name}",
        f"{len(losses):,} power losses and {len(faults):,} faults: {told:,} faults ended by one message, {len(faults) - told:,} "
        f"went unnoticed; {points.resumed:,} different states were left, and all resumed to the files of an undisturbed job, "
        f"in {time.process_time() - began:.0f} s of processor time",
    )


def test_a_checkpoint_that_was_saved_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = Checkpoints.save, list[int]()

    def note(self: Checkpoints, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        saved.append(len(layer.done))

    monkeypatch.setattr(Checkpoints, "save", note)
    with Layer(tmp_path) as layer:
        search(Experiment.load(BASE), tmp_path / "run")
    assert len(saved) == 2
    for number in saved:
        disk = Disk(layer.done[:number])
        assert differing(disk.synced(), disk.kept()) == []
