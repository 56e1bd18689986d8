"""Refusing to train a task that has nothing to learn from: no ground truth, or one class only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atrcnas.data.sample import Sample, labelled_indices
from atrcnas.engine.splits import Splits
from atrcnas.ground.errors import DataError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task


def require_labels(experiment: Experiment, splits: Splits) -> None:
    """Read training samples in random order until each task has ground truth, and each class task two classes.

    That is a sample or two where all is well, and every sample where it is not.

    Raises:
        DataError: a task has no ground truth in any sample, or a single class; each named. Or a sample cannot be read, and
            ``data.on_corrupt`` says stop.
    """
    tasks = experiment.resolved_tasks()
    known = {name: set(labelled_indices(splits.train, name)) for name in tasks}
    seen: dict[str, set[int]] = {name: set() for name in tasks}
    for index in np.random.default_rng(experiment.seed).permutation(splits.weights).tolist():
        open_ = {name: task for name, task in tasks.items() if len(seen[name]) < _needed(task)}
        if not open_:
            return
        if not any(index in known[name] for name in open_):
            continue
        try:
            sample = splits.train[index]
        except DataError:
            if experiment.data.on_corrupt == "stop":
                raise
            continue
        _look(sample, open_, seen)
    lines = [_refusal(task, seen[name], len(splits.weights)) for name, task in tasks.items()]
    if any(lines):
        raise DataError("\n".join(filter(None, lines)))


def _needed(task: Task) -> int:
    return 2 if task.target == "classes" else 1


def _look(sample: Sample, tasks: Mapping[str, Task], seen: Mapping[str, set[int]]) -> None:
    for name, task in tasks.items():
        labelled = sample.targets[name][sample.valid[name]]
        if labelled.size:
            seen[name].update(np.unique(labelled).tolist() if task.target == "classes" else (0,))


def _refusal(task: Task, seen: set[int], count: int) -> str:
    if len(seen) >= _needed(task):
        return ""
    if not seen:
        got = f"expected ground truth in some of the {count} training samples, got none in any"
    else:
        got = f"expected at least two classes in the {count} training samples, got class {min(seen)} alone"
    return (
        f"data: {task.name}: {got}. Look at what its files hold with `atrcnas data check`, and say it under "
        f"data.options.values.{task.name}; or leave the task out."
    )
