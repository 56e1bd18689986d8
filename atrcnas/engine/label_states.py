"""Fitting the label encoders that depend on the data (the 40 directions of normals) before training begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from atrcnas.data.loading import collate
from atrcnas.data.sample import Sample, Source
from atrcnas.data.transforms import Augmented
from atrcnas.ground.errors import DataError
from atrcnas.objectives.objective import fit_label_states
from atrcnas.spec.experiment import Experiment

NUM_SAMPLES = 64


def label_states(experiment: Experiment, source: Source, samples: Sequence[int] | None = None) -> dict[str, Tensor]:
    """Fit to a fixed random part of the training samples; the same for the same seed.

    Args:
        experiment: tasks and seed.
        source: the training split.
        samples: indices of those that may be used; all if None.

    Returns:
        task -> state of its label encoder.

    Raises:
        DataError: a sample cannot be read; with ``data.on_corrupt: skip`` only if none can.
    """
    tasks = experiment.resolved_tasks()
    usable = range(len(source)) if samples is None else samples
    chosen = np.random.default_rng(experiment.seed).permutation(usable)[:NUM_SAMPLES]

    def truths() -> Iterator[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
        for sample in _readable(source, chosen.tolist(), experiment.data.on_corrupt == "skip"):
            batch = collate([Augmented(sample, np.ones(sample.image.shape[:2], dtype=bool))], tasks)
            yield batch.targets, batch.valid

    return fit_label_states(tasks, truths(), experiment.seed)


def _readable(source: Source, indices: Sequence[int], skip: bool) -> Iterator[Sample]:
    read = 0
    for index in indices:
        try:
            sample = source[index]
        except DataError:
            if not skip or (index == indices[-1] and not read):
                raise
            continue
        read += 1
        yield sample
