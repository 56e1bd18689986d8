"""`atrcnas resume`: going on with a run by its folder alone, whatever began it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from atrcnas.engine.retrain import retrain
from atrcnas.ground.errors import RunError
from atrcnas.launch.search import search
from atrcnas.launch.sweep import sweep
from atrcnas.pareto_job import pareto_lines
from atrcnas.pipeline import result_lines, run_job, undecided_lines
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.sweep import SweepSpec


def resume_run(experiment: Experiment, run: Path, moved: bool) -> Iterator[str]:
    """Go on with what began a run: the whole job, a search, a retraining, or a front of score against cost.

    Args:
        experiment: the run's own.
        run: run folder.
        moved: the experiment has other paths or devices than the run's, which are written down first.

    Yields:
        Lines to show, those of the command that began it.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    folder = RunFolder(run)
    if moved:
        folder.move(experiment)
    job = _job(folder)
    if job == "search":
        contexts = search(experiment, run, resume=True)
        yield from undecided_lines(contexts)
        yield f"contexts: {folder.contexts}"
    elif job == "retrain":
        yield from result_lines(retrain(experiment, folder.load_contexts(), run, resume=True))
    elif job == "pareto":
        words = folder.began_by()
        yield from pareto_lines(experiment, run, _option(words, "--budgets"), "--retrain" in words)
    else:
        yield from run_job(experiment, run, resume=True)


def resume_sweep(run: Path) -> Iterator[str]:
    """Go on with a sweep; see :func:`~atrcnas.launch.sweep.sweep`."""
    return sweep(SweepSpec.load(RunFolder(run).sweep), run, resume=True)


def _option(words: Sequence[str], name: str) -> str | None:
    """The value of an option in a command line, written as two words or as one; None without it."""
    for word, following in itertools.pairwise([*words, ""]):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None


def _job(folder: RunFolder) -> str:
    """The command that began a run; without a record of it, what its files look like."""
    command = folder.began_by()
    if "--init-reference" in command and not folder.begun("retrain"):
        raise RunError(
            f"{folder.root}: stopped before its first checkpoint, so that its weights would not be those of the reference. "
            f"Start it again: atrcnas {' '.join(command)}"
        )
    word = next((word for word in command if not word.startswith("-")), "")
    if not word and folder.begun("retrain") and not folder.begun("search"):
        return "retrain"
    return word
