"""Fitting the label encoders that depend on the data (the 40 directions of normals) before training begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from atrcnas.data.loading import collate
from atrcnas.data.sample import Source
from atrcnas.data.transforms import Augmented
from atrcnas.objectives.objective import fit_label_states
from atrcnas.spec.experiment import Experiment

NUM_SAMPLES = 64


def label_states(experiment: Experiment, source: Source) -> dict[str, Tensor]:
    """Fit to a fixed random part of the training samples; the same for the same seed.

    Args:
        experiment: tasks and seed.
        source: training samples.

    Returns:
        task -> state of its label encoder.
    """
    tasks = experiment.resolved_tasks()
    chosen = np.random.default_rng(experiment.seed).permutation(len(source))[:NUM_SAMPLES]

    def truths() -> Iterator[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
        for index in chosen:
            sample = source[int(index)]
            batch = collate([Augmented(sample, np.ones(sample.image.shape[:2], dtype=bool))], tasks)
            yield batch.targets, batch.valid

    return fit_label_states(tasks, truths(), experiment.seed)
