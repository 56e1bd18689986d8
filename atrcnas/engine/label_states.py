"""The label encoders that depend on the data (the 40 directions of normals): fitted before training begins, or given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrcnas.data.batch import collate
from atrcnas.data.patient import read_patiently
from atrcnas.data.sample import Sample, Source, labelled_indices
from atrcnas.data.transforms import place_centred
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.objectives.objective import fit_label_states
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.labels import LABEL_ENCODERS

NUM_SAMPLES = 64


def label_states(experiment: Experiment, source: Source, samples: Sequence[int] | None = None) -> dict[str, Tensor]:
    """Fit to a fixed random part of the training samples, the same for the same seed; or take the published ones.

    Args:
        experiment: tasks, seed and ``data.centroids``.
        source: the training split.
        samples: indices of those that may be used; all if None.

    Returns:
        task -> state of its label encoder.

    Raises:
        ConfigError: ``data.centroids: published`` for a data set that has none.
        DataError: a sample cannot be read; with ``data.on_corrupt: skip`` only if none can.
    """
    tasks = experiment.resolved_tasks()
    fitted = {name: task for name, task in tasks.items() if LABEL_ENCODERS[task.label_encoder].fit is not None}
    if experiment.data.centroids == "published":
        return {name: _published(source, name, experiment.data.name) for name in fitted}
    usable = range(len(source)) if samples is None else samples
    labelled = {index for name in fitted for index in labelled_indices(source, name)}
    order = np.random.default_rng(experiment.seed).permutation(usable).tolist()
    chosen = [index for index in order if index in labelled]

    def truths() -> Iterator[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
        for sample in _readable(source, chosen[:NUM_SAMPLES], experiment.data.on_corrupt == "skip"):
            batch = collate([place_centred(sample, (1, 1))], tasks)
            yield batch.targets, batch.valid

    return fit_label_states(tasks, truths(), experiment.seed)


def _published(source: Source, task: str, name: str) -> Tensor:
    given: Mapping[str, npt.NDArray[np.float32]] = getattr(source, "centroids", {})
    if task not in given:
        raise ConfigError(f"data.centroids: '{name}' has no published ones for {task}. Set it to fitted.")
    return torch.from_numpy(given[task])


def _readable(source: Source, indices: Sequence[int], skip: bool) -> Iterator[Sample]:
    read = 0
    for index in indices:
        try:
            sample = read_patiently(source, index)
        except DataError:
            if not skip or (index == indices[-1] and not read):
                raise
            continue
        read += 1
        yield sample
