"""Whole jobs, so small that one takes about a second, each a function of a folder and of whether it is to be resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Job:
    """What is run, and run again with ``resume`` when it was interrupted.

    Attributes:
        name: for messages.
        run: called with the folder and ``resume``.
    """

    name: str
    run: Callable[[Path, bool], None]


def _whole(folder: Path, resume: bool, *settings: str) -> None:
    """Search, retrain and evaluate, as `atrcnas run --resume` goes about it."""
    experiment = Experiment.load(BASE, list(settings))
    run = RunFolder(folder)
    if resume and run.begun("retrain"):
        contexts = run.load_contexts()
    else:
        contexts = search(experiment, folder, resume)
    retrain(experiment, contexts, folder, resume)
    evaluate(folder)


def _by_trials(folder: Path, resume: bool, strategy: str) -> None:
    trials = ["search.trials.number=2", "search.trials.steps=1", "search.trials.population=2"]
    search(Experiment.load(SMALL, [f"search.strategy={strategy}", *trials]), folder, resume)


def _sweep(folder: Path, resume: bool) -> None:
    over = {"contexts": ["baseline", "uniform-global"]}
    for _ in sweep(SweepSpec.load({"schema": 1, "experiment": SMALL, "over": over}), folder, resume):
        pass


JOBS = {
    job.name: job
    for job in (
        Job("search, retrain, evaluate", _whole),
        Job("search by trials", lambda folder, resume: _by_trials(folder, resume, "random")),
        Job("sweep", _sweep),
    )
}
