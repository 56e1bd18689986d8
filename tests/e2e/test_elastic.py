"""A run begun on some processes goes on with fewer or more of them, on the same samples, to the same weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.data.batch import Batch
from atrcnas.data.loading import open_source, training_loader
from atrcnas.engine.checkpoints import read_checkpoint
from tests.conftest import TINY
from tests.e2e.test_devices import environment

STEPS, BEGUN = 4, 2
# At the default rate, the rounding of these few steps on random labels grows thirtyfold with each.
SHORT = {"steps": STEPS, "validate_every": BEGUN, "log_every": 1, "batch_size": 4, "learning_rate": 0.001}
# Directions of normals are fitted, edges weigh by what the batch holds; dropout in a network that has it.
EXPERIMENT = {
    **TINY,
    "tasks": ["semseg", "normals", "edge"],
    "precision": "64",
    "sync_batchnorm": True,
    "model": {"width": 16, "dropout": 0.3},
    "search": {**TINY["search"], **SHORT},
    "retrain": {**TINY["retrain"], **SHORT},
}


@pytest.fixture(scope="module")
def of_several_sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A folder data set whose images differ in size, so that parts of a batch do too."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 14), ("val", 5)):
        for kind, channels, high in (("image", (3,), 255), ("semseg", (), 3), ("normals", (3,), 255), ("edge", (), 2)):
            folder = root / split / kind
            folder.mkdir(parents=True)
            for i in range(count):
                shape = ((64, 96), (80, 72), (96, 64))[i % 3]
                Image.fromarray(rng.integers(0, high, (*shape, *channels), np.uint8)).save(folder / f"{i:02d}.png")
    options = {"root": str(root), "classes": {"semseg": 3}}
    return {"name": "folder", "options": options, "selection": 0.3}


def step_batches(experiment: Experiment, first: int, world: int) -> Iterator[Batch]:
    """Whole batches, put together from what the processes load."""
    source = open_source(experiment, "train")
    loaders = [
        training_loader(experiment, source, range(40), 4, STEPS, first=first, rank=rank, world=world)
        for rank in range(world)
    ]
    for shares in zip(*loaders, strict=True):
        order = torch.argsort(torch.cat([torch.arange(rank, 4, world) for rank in range(world)])).tolist()

        def joined(parts: list, order: list[int] = order) -> list:
            flat = [one for part in parts for one in part]
            return [flat[place] for place in order]

        targets = {name: joined([share.targets[name] for share in shares]) for name in experiment.all_tasks}
        yield Batch(
            torch.stack(joined([share.image for share in shares])),
            None,
            {name: torch.stack(values) for name, values in targets.items()},
            {},
            joined([share.names for share in shares]),
            [],
        )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_samples_of_a_step_depend_neither_on_processes_nor_on_workers(world: int, workers: int) -> None:
    experiment = Experiment.load(TINY, [f"data.workers={workers}", "data.cache_mib=4"])
    whole = list(step_batches(Experiment.load(TINY), 0, 1))
    found = list(step_batches(experiment, BEGUN, world))
    assert len({name for batch in whole for name in batch.names}) > 10
    for one, other in zip(whole[BEGUN:], found, strict=True):
        assert one.names == other.names
        assert torch.equal(one.image, other.image)
        assert all(torch.equal(one.targets[name], other.targets[name]) for name in one.targets)


def command(folder: Path, stage: str, run: str, processes: int, *options: str) -> None:
    given = ["--contexts", "uniform-slabel"] if stage == "retrain" else []
    line = [sys.executable, "-m", "atrcnas", stage, "it.yaml", *given, "--run", run, f"devices={processes}", *options]
    done = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr


def in_one_process(value: dict, stage: str, run: Path, resume: bool = False) -> None:
    experiment = Experiment.load(value)
    if stage == "search":
        search(experiment, run, resume)
    else:
        retrain(experiment, ContextConfig.load("uniform-slabel"), run, resume)


def same_end(first: Path, second: Path, stage: str) -> None:
    states = [read_checkpoint(run / stage / "checkpoints/last.ckpt") for run in (first, second)]
    assert [state["step"] for state in states] == [STEPS, STEPS]
    for part in {"net", "sampler"} & states[0].keys():
        for key, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][key], value, rtol=1e-9, atol=1e-11, msg=key)
    rows = [pd.read_csv(run / stage / "metrics.csv").query("stage == 'train'") for run in (first, second)]
    pd.testing.assert_frame_equal(rows[0], rows[1], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("retrain", {}),
        ("search", {}),
        ("search", {"estimator": "sampled", "held_out": 0.4}),
        ("search", {"estimator": "paired", "logits_warm_up": 0.0}),
    ],
    ids=["retrain", "search", "search, bi-level", "search, paired"],
)
def test_what_two_processes_begin_one_and_four_end_as_one_does_alone(
    tmp_path: Path, of_several_sizes: dict[str, object], stage: str, changes: dict[str, object]
) -> None:
    """``test_devices.py`` has a fast case of this."""
    value = {**EXPERIMENT, "data": of_several_sizes, "search": {**EXPERIMENT["search"], **changes}}
    (tmp_path / "it.yaml").write_text(yaml.safe_dump(value))
    in_one_process(value, stage, tmp_path / "alone")
    command(tmp_path, stage, "two", 2)
    (tmp_path / "two" / stage / "checkpoints/last.ckpt").unlink()  # as if it had been killed after its first one
    assert read_checkpoint(tmp_path / "two" / stage / "checkpoints/previous.ckpt")["step"] == BEGUN
    for processes in (1, 4):
        run = tmp_path / f"on-{processes}"
        shutil.copytree(tmp_path / "two", run)
        if processes == 1:
            in_one_process(value, stage, run, resume=True)
        else:
            command(tmp_path, stage, run.name, processes, "--resume", "data.workers=1")
        same_end(tmp_path / "alone", run, stage)
