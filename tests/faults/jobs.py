"""Whole jobs, so small that one takes about a second, each made of functions of a folder and of whether to resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from atrcnas import Experiment, retrain
from atrcnas.engine.evaluate import evaluate
from atrcnas.launch.search import search
from atrcnas.launch.sweep import sweep
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.sweep import SweepSpec

BASE = {
    "schema": 1,
    "name": "tiny",
    "seed": 3,
    "tasks": ["semseg", "depth"],
    "data": {
        "name": "rooms",
        "options": {"image_size": [32, 32], "train_size": 8, "val_size": 1},
        "selection": 0.25,
        "workers": 0,
    },
    "backbone": {"name": "atrcnas_small"},
    "model": {"width": 4},
    "space": "full",
    "search": {"steps": 2, "batch_size": 2, "validate_every": 1, "log_every": 1, "logits_learning_rate": 0.1},
    "retrain": {"steps": 2, "batch_size": 2, "validate_every": 1, "log_every": 1, "keep": "best"},
}
# Many trainings in one job: one task and one step each.
SMALL = {**BASE, "tasks": ["depth"], "retrain": {**BASE["retrain"], "steps": 1}}  # type: ignore[dict-item]


Step = Callable[[Path, bool], None]


class Job(NamedTuple):
    """What is run, and run again when it was interrupted.

    Attributes:
        name: for messages.
        steps: called in turn with the folder, and whether to resume; what one leaves in the folder is all the next one knows.
    """

    name: str
    steps: tuple[Step, ...]


def _search(folder: Path, resume: bool) -> None:
    """As `atrcnas run --resume` goes about it: left out where the retraining has begun."""
    if not (resume and RunFolder(folder).begun("retrain")):
        search(Experiment.load(BASE), folder, resume)


def _retrain(folder: Path, resume: bool) -> None:
    retrain(Experiment.load(BASE), RunFolder(folder).load_contexts(), folder, resume)


def _evaluate(folder: Path, resume: bool) -> None:
    evaluate(folder)


def _by_trials(folder: Path, resume: bool) -> None:
    trials = ["search.trials.number=2", "search.trials.steps=1", "search.trials.population=2"]
    search(Experiment.load(SMALL, ["search.strategy=random", *trials]), folder, resume)


def _sweep(folder: Path, resume: bool) -> None:
    over = {"contexts": ["baseline", "uniform-global"]}
    for _ in sweep(SweepSpec.load({"schema": 1, "experiment": SMALL, "over": over}), folder, resume):
        pass


JOBS = {
    job.name: job
    for job in (
        Job("search, retrain, evaluate", (_search, _retrain, _evaluate)),
        Job("search by trials", (_by_trials,)),
        Job("sweep", (_sweep,)),
    )
}
