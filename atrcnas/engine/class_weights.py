"""Class weights that are asked for as ``balanced``: from the frequencies of the classes in the training samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from atrcnas.data.sample import Source, labelled_indices
from atrcnas.ground.errors import DataError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

KEY, BALANCED = "class_weights", "balanced"
NUM_SAMPLES = 256


def weighted_tasks(experiment: Experiment, source: Source, samples: Sequence[int]) -> dict[str, Task]:
    """The tasks of an experiment with numbers for the class weights.

    Args:
        experiment: its tasks and seed.
        source: the training split.
        samples: indices of those that may be used; a fixed random part of them is read, the same for the same seed.

    Returns:
        Name -> record; that of the experiment where no task has balanced weights.

    Raises:
        DataError: a sample cannot be read; with ``data.on_corrupt: skip`` only if none can.
    """
    tasks = experiment.resolved_tasks()
    return {
        name: _balanced(experiment, task, source, samples) if task.loss_options.get(KEY) == BALANCED else task
        for name, task in tasks.items()
    }


def balanced_weights(counts: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """One weight per class, N / (K n): each class weighs the same in all, and the mean over the pixels is 1.

    Args:
        counts: [K] pixels of each class.

    Returns:
        K weights; a class without pixels gets the largest of the others.
    """
    present = counts > 0
    weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)
    return tuple(np.where(present, weights, weights.max()).tolist())


def _balanced(experiment: Experiment, task: Task, source: Source, samples: Sequence[int]) -> Task:
    labelled = set(labelled_indices(source, task.name))
    order = np.random.default_rng(experiment.seed).permutation(samples).tolist()
    counts = np.zeros(task.num_channels, np.int64)
    for index in [index for index in order if index in labelled][:NUM_SAMPLES]:
        try:
            sample = source[index]
        except DataError:
            if experiment.data.on_corrupt == "stop":
                raise
            continue
        counts += np.bincount(sample.targets[task.name][sample.valid[task.name]], minlength=counts.size)
    weights: Mapping[str, object] = {KEY: balanced_weights(counts)}
    return replace(task, loss_options={**task.loss_options, **weights})
