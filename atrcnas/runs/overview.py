"""The runs in a folder, in one line each: how far they are, what they do, how well they did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.runs.folder import STAGES, RunFolder
from atrcnas.runs.results import read_results
from atrcnas.runs.tables import METRICS, read_table
from atrcnas.spec.experiment import Experiment

_HEAD = ("run", "stage", "steps", "tasks", "scores", "last change (UTC)")
_NONE = "-"


def overview_lines(folder: Path) -> Iterator[str]:
    """A table of the run folders in ``folder``, the last changed one last; a sweep's trials stand below its name.

    Raises:
        RunError: no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: expected a folder of runs, got nothing there. Give the folder that holds them.")
    found = sorted(folder.glob("*/experiment.yaml")) + sorted(folder.glob("*/trials/*/experiment.yaml"))
    if not found:
        raise RunError(f"{folder}: expected run folders in it, got none. `atrcnas run EXPERIMENT` makes one.")
    changed = {path.parent: _last_change(RunFolder(path.parent)) for path in found}
    rows = [_HEAD, *(_row(folder, run, changed[run]) for run in sorted(changed, key=lambda run: changed[run]))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(folder: Path, run: Path, changed: float) -> tuple[str, ...]:
    name = str(run.relative_to(folder))
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(changed))
    try:
        experiment = RunFolder(run).load_experiment()
        stage, steps = _progress(RunFolder(run), experiment)
        return (name, stage, steps, ",".join(experiment.tasks), _scores(run), when)
    except AtrcnasError as error:
        return (name, "cannot be read", _NONE, _NONE, str(error).splitlines()[0], when)


def _progress(run: RunFolder, experiment: Experiment) -> tuple[str, str]:
    """The stage that a run is in, and how many of its steps are in the records."""
    if run.results.is_file():
        return "scored", f"{experiment.retrain.steps}/{experiment.retrain.steps}"
    for stage in reversed(STAGES):
        path = run.metrics(stage)
        if path.is_file():
            steps = read_table(path, METRICS)["step"]
            done = 0 if steps.empty else int(steps.iloc[-1])
            return stage, f"{done}/{getattr(experiment, stage).steps}"
    if run.journal.is_file():
        done = max(len(run.journal.read_text(encoding="utf-8").splitlines()) - 1, 0)  # without its header
        return "search", f"{done}/{experiment.search.trials.number} trials"
    return "begun", _NONE


def _scores(run: Path) -> str:
    """The first figure of each task, as `atrcnas compare` shows them."""
    if not RunFolder(run).results.is_file():
        return _NONE
    first = {task: next(iter(figures.items())) for task, figures in read_results(run)["scores"].items() if figures}
    return ", ".join(f"{task} {name} {value:.4f}" for task, (name, value) in first.items())


def _last_change(run: RunFolder) -> float:
    """Time of the newest of the files that a run writes as it moves on, seconds since 1970."""
    moving = [run.experiment, run.contexts, run.results, run.journal, *(run.metrics(stage) for stage in STAGES)]
    return max(path.stat().st_mtime for path in moving if path.is_file())
