"""Loaders of training and validation batches: opening a split, augmenting, collating, worker processes."""

from __future__ import annotations

import bisect
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from atrcnas.data.batch import Batch, collate
from atrcnas.data.caching import Cached
from atrcnas.data.order import StepBatches
from atrcnas.data.patient import read_patiently
from atrcnas.data.sample import Sample, Source, labelled_indices
from atrcnas.data.transforms import Augmented, augment, place_centred
from atrcnas.data.watched import WatchedLoader
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.registry import resolve
from atrcnas.spec.data import AugmentSpec
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

MAX_CORRUPT = 5  # consecutive samples that `on_corrupt: skip` leaves out


def open_source(experiment: Experiment, split: str) -> Source:
    """Open one split of the experiment's data set.

    Raises:
        DataError: files are missing or do not fit each other; each named.
    """
    source: Source = resolve(DATASETS[experiment.data.name].source)(
        experiment.data_options(), split, experiment.resolved_tasks()
    )
    if len(source) == 0:
        raise DataError(f"data: split '{split}' of '{experiment.data.name}' is empty. Add samples to it.")
    return source


class _Prepared(Dataset[Any]):
    """Augmented samples, addressed by (index, seed of the augmentation); without augmentation at least ``pad_to`` large.

    One of ``stand_ins`` (sorted) takes the place of a sample that cannot be read; without any, such a sample stops the run.
    """

    def __init__(
        self,
        source: Source,
        tasks: Mapping[str, Task],
        options: AugmentSpec | None,
        stand_ins: Sequence[int] | None = None,
        pad_to: tuple[int, int] | None = None,
    ) -> None:
        self.source, self.tasks, self.options, self.stand_ins = source, tasks, options, stand_ins
        self.pad_to = pad_to or (1, 1)

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> Augmented:
        index, seed = key
        sample = (
            self._readable(index, self.stand_ins) if self.stand_ins is not None else read_patiently(self.source, index)
        )
        if self.options is None:
            return place_centred(sample, self.pad_to)
        return augment(sample, self.options, self.tasks, np.random.default_rng(seed))

    def _readable(self, index: int, stand_ins: Sequence[int]) -> Sample:
        """The sample, or the first readable one after it that may be trained on; a resumed run takes the same.

        Raises:
            DataError: several in a row cannot be read.
        """
        place = bisect.bisect_left(stand_ins, index)
        for attempt in range(MAX_CORRUPT):
            try:
                return read_patiently(self.source, stand_ins[(place + attempt) % len(stand_ins)])
            except DataError as error:
                if isinstance(error.__cause__, MemoryError):  # not the sample's fault
                    raise
                print(f"skipped: {error}", file=sys.stderr)
                last = error
        raise DataError(f"{MAX_CORRUPT} samples in a row cannot be read; the last: {last}") from last


def training_loader(
    experiment: Experiment, source: Source, indices: Sequence[int], batch_size: int, steps: int, **order: int
) -> DataLoader[Batch]:
    """Loader of augmented training batches; ``order`` as in :class:`StepBatches`."""
    tasks, data = experiment.resolved_tasks(), experiment.data
    partly = {name: labelled_indices(source, name) for name in tasks} if data.labelled_batches else {}
    labelled = [found for found in partly.values() if len(found) < len(source)]
    batches = StepBatches(
        indices, batch_size, steps, seed=experiment.seed, drop_last=data.drop_last, labelled=labelled, **order
    )
    share = data.cache_mib * 2**20 // max(data.workers, 1)
    kept = Cached(source, share) if share else source
    stand_ins = sorted(indices) if data.on_corrupt == "skip" else None
    return _loader(experiment, _Prepared(kept, tasks, data.augment, stand_ins), tasks, batch_sampler=batches)


def validation_loader(
    experiment: Experiment,
    source: Source,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    samples: Sequence[int] | None = None,
    stand_ins: Sequence[int] | None = None,
) -> DataLoader[Batch]:
    """Loader of whole images in order, of all or of ``samples``; over all processes each appears once.

    One of ``stand_ins`` (sorted) takes the place of a sample that cannot be read; without any, such a sample stops.

    Raises:
        ConfigError: a process would have none, and leave the others waiting for its scores.
    """
    chosen = range(len(source)) if samples is None else samples
    if world > len(chosen):
        raise ConfigError(
            f"devices: {world} processes, but there are {len(chosen)} samples to validate on. Use fewer devices."
        )
    tasks = experiment.resolved_tasks()
    indices = chosen[rank::world]
    batches = [
        [(index, (0,)) for index in indices[first : first + batch_size]] for first in range(0, len(indices), batch_size)
    ]
    prepared = _Prepared(source, tasks, None, stand_ins, experiment.data.pad_to)
    return _loader(experiment, prepared, tasks, batch_sampler=batches)


def _loader(
    experiment: Experiment, dataset: _Prepared, tasks: Mapping[str, Task], batch_sampler: Any
) -> DataLoader[Batch]:
    workers = experiment.data.workers
    return WatchedLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available() and experiment.devices != "cpu",
        collate_fn=_Collate(tasks),
        worker_init_fn=_begin_worker,
    )


def _begin_worker(worker: int) -> None:
    """Leave the process group, and hand over a tensor for trial.

    Ctrl-C and a signal to the group are for the main process, which ends its loaders in its own time. A tensor goes
    through shared memory and a socket in the folder for temporary files; what fails there later fails in a thread,
    unheard.

    Raises:
        DataError: no tensor can be handed over.
    """
    os.setpgrp()
    try:
        ForkingPickler.dumps(torch.zeros(1).share_memory_())  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(
            f"data: a loader process cannot hand over its batches ({reason}). Make room in /tmp and /dev/shm, set TMPDIR to "
            "a folder that can be written, or set data.workers to 0; then continue with --resume."
        ) from error


@dataclass(frozen=True)
class _Collate:
    tasks: Mapping[str, Task]

    def __call__(self, items: list[Augmented]) -> Batch:
        batch = collate(items, self.tasks)
        # Left to the loader, this happens in a thread that fails unheard: the batch would be waited for without
        # end.
        return batch if get_worker_info() is None else batch.share_memory()
