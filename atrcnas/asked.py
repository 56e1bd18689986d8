"""What several commands read first: the experiment they are given, or that of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from atrcnas.ground.rank import first_process

if TYPE_CHECKING:
    from atrcnas.spec.experiment import Experiment


def load(experiment: str, overrides: list[str] | None, run: Path | None) -> tuple[Experiment, Path]:
    """The experiment of a command, checked, and its run folder; says that it starts."""
    from atrcnas.spec.experiment import Experiment

    spec = Experiment.load(experiment, overrides or [])
    folder = run or Path("runs") / spec.name
    say_start(spec.name, folder)
    return spec, folder


def say_start(name: str, folder: Path) -> None:
    """The first sign of life: importing torch, which comes next, takes seconds."""
    if first_process():
        print(f"{name}: starting in {folder}", file=sys.stderr, flush=True)


def load_run(folder: Path, overrides: list[str] | None = None) -> Experiment:
    """The experiment of a run, with ``key.path=value`` for where its data is now; imports its plugins."""
    from atrcnas.runs.folder import RunFolder

    return RunFolder(folder).load_experiment(overrides or [])


def load_plugins_of(folder: Path) -> None:
    """A run may use kinds and tasks that plugins register."""
    if (folder / "experiment.yaml").is_file():
        load_run(folder)
