"""Samples into batches: a step-indexed order that resumes anywhere, augmentation, collation, loaders."""

from __future__ import annotations

import bisect
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from atrcnas.data.caching import Cached
from atrcnas.data.sample import Sample, Source, labelled_indices
from atrcnas.data.transforms import Augmented, augment, place_centred
from atrcnas.data.watched import HINT, WatchedLoader
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.registry import resolve
from atrcnas.spec.data import AugmentSpec
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

MAX_CORRUPT = 5  # samples in a row that `on_corrupt: skip` leaves out


@dataclass
class Batch:
    """A batch of labelled images.

    Attributes:
        image: [B, 3, H, W] uint8 RGB.
        image_valid: [B, 1, H, W] bool, False on padding; None if nothing is padded.
        targets: task -> [B, H, W] int64, [B, 1, H, W] float32 or [B, 3, H, W] float32.
        valid: task -> [B, H, W] bool.
        names: B sample names.
        sizes: B pairs (height, width) before padding.
        corners: B pairs (top, left) of the image on its padded canvas; empty if all are (0, 0).
    """

    image: Tensor
    image_valid: Tensor | None
    targets: dict[str, Tensor]
    valid: dict[str, Tensor]
    names: list[str]
    sizes: list[tuple[int, int]]
    corners: list[tuple[int, int]] = field(default_factory=list)

    def window(self, index: int) -> tuple[slice, slice]:
        """Rows and columns of one image without its padding."""
        (top, left), (height, width) = self.corners[index] if self.corners else (0, 0), self.sizes[index]
        return slice(top, top + height), slice(left, left + width)

    def to(self, device: torch.device) -> Batch:
        """Move to ``device`` without waiting."""
        moved = {name: x.to(device, non_blocking=True) for name, x in self.targets.items()}
        valid = {name: x.to(device, non_blocking=True) for name, x in self.valid.items()}
        mask = None if self.image_valid is None else self.image_valid.to(device, non_blocking=True)
        return Batch(self.image.to(device, non_blocking=True), mask, moved, valid, self.names, self.sizes, self.corners)

    def share_memory(self) -> Batch:
        """Move into memory that other processes see.

        Raises:
            DataError: there is no room in it.
        """
        masks = [] if self.image_valid is None else [self.image_valid]
        try:
            for tensor in (self.image, *masks, *self.targets.values(), *self.valid.values()):
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"data: a loader process cannot hand over its batch ({reason}). {HINT}") from error
        return self

    def pin_memory(self) -> Batch:
        """Copy into page-locked memory."""
        mask = None if self.image_valid is None else self.image_valid.pin_memory()
        targets = {name: x.pin_memory() for name, x in self.targets.items()}
        valid = {name: x.pin_memory() for name, x in self.valid.items()}
        return Batch(self.image.pin_memory(), mask, targets, valid, self.names, self.sizes, self.corners)


def open_source(experiment: Experiment, split: str) -> Source:
    """Open one split of the experiment's data set.

    Raises:
        DataError: files are missing or do not fit each other; each named.
    """
    source: Source = resolve(DATASETS[experiment.data.name].source)(
        experiment.data_options(), split, experiment.all_tasks
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
        sample = self.source[index] if self.stand_ins is None else self._readable(index, self.stand_ins)
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
                return self.source[stand_ins[(place + attempt) % len(stand_ins)]]
            except DataError as error:
                print(f"skipped: {error}", file=sys.stderr)
                last = error
        raise DataError(f"{MAX_CORRUPT} samples in a row cannot be read; the last: {last}") from last


class StepBatches(Sampler[list[tuple[int, tuple[int, ...]]]]):
    """The batches of steps ``first .. steps - 1``, a pure function of (seed, step).

    Samples are shuffled anew in each pass over ``indices``; a batch may span two passes, so that all have one size.
    Where some images are not labelled for every task, single images give way so that each task has a labelled one in
    each batch, as far as there is room.

    Args:
        indices: samples to draw from.
        batch_size: over all processes; each takes its share.
        steps: of the whole training.
        first: the step to begin with (after a resume).
        seed: of order and augmentation.
        rank: of this process.
        world: number of processes.
        drop_last: leave out what does not fill a batch at the end of a pass; without effect on less than a batch.
        labelled: one entry per partly labelled task, the indices that are labelled.
    """

    def __init__(
        self,
        indices: Sequence[int],
        batch_size: int,
        steps: int,
        *,
        seed: int,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        labelled: Sequence[Collection[int]] = (),
    ) -> None:
        self.indices = np.asarray(indices)
        rest = len(indices) % batch_size if drop_last and len(indices) > batch_size else 0
        self.pass_length = len(indices) - rest
        self.labelled = [found for task in labelled if (found := set(task).intersection(self.indices.tolist()))]
        self.batch_size, self.steps, self.first = batch_size, steps, first
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        return self.steps - self.first

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        for step in range(self.first, self.steps):
            slots = range(step * self.batch_size, (step + 1) * self.batch_size)
            chosen = [self._sample(slot) for slot in slots]
            self._cover(chosen, step)
            yield [(chosen[k], (self.seed, slots[k])) for k in range(self.rank, self.batch_size, self.world)]

    def _sample(self, slot: int) -> int:
        turn, position = divmod(slot, self.pass_length)
        if getattr(self, "_turn", None) != turn:
            self._turn, self._order = turn, np.random.default_rng((self.seed, turn)).permutation(self.indices)
        return int(self._order[position])

    def _cover(self, chosen: list[int], step: int) -> None:
        """Give each task without a labelled image in the batch the place of one that the other tasks can spare."""
        for task, pool in enumerate(self.labelled):
            if not pool.isdisjoint(chosen):
                continue
            rng = np.random.default_rng((self.seed, step, task))
            for place in rng.permutation(len(chosen)):
                others = chosen[:place] + chosen[place + 1 :]
                if all(other.isdisjoint(chosen) or not other.isdisjoint(others) for other in self.labelled):
                    chosen[place] = int(rng.choice(sorted(pool)))
                    break


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
) -> DataLoader[Batch]:
    """Loader of whole images in order, of all or of ``samples``; over all processes each comes once.

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
    prepared = _Prepared(source, tasks, None, pad_to=experiment.data.pad_to)
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
        worker_init_fn=_leave_process_group,
    )


def _leave_process_group(worker: int) -> None:
    """Ctrl-C and a signal to the process group are for the main process, which ends its loaders in its own time."""
    os.setpgrp()


@dataclass(frozen=True)
class _Collate:
    tasks: Mapping[str, Task]

    def __call__(self, items: list[Augmented]) -> Batch:
        batch = collate(items, self.tasks)
        # Left to the loader, this happens in a thread whose failure nobody hears of: the batch would be waited for without
        # end.
        return batch if get_worker_info() is None else batch.share_memory()


def collate(items: Sequence[Augmented], tasks: Mapping[str, Task]) -> Batch:
    """Stack samples, padding the smaller ones on the right and at the bottom."""
    canvases = [item.image_valid.shape for item in items]
    size = (max(height for height, _ in canvases), max(width for _, width in canvases))
    mask = np.stack([_pad(item.image_valid, size) for item in items])
    image = np.stack([_pad(item.sample.image, size) for item in items])
    targets, valid = {}, {}
    for name, task in tasks.items():
        stacked = torch.from_numpy(np.stack([_pad(item.sample.targets[name], size) for item in items]))
        if task.target == "classes":
            targets[name] = stacked.long()
        else:
            targets[name] = (stacked[:, None] if task.target == "scalar" else stacked.permute(0, 3, 1, 2)).float()
        valid[name] = torch.from_numpy(np.stack([_pad(item.sample.valid[name], size) for item in items]))
    return Batch(
        image=torch.from_numpy(image).permute(0, 3, 1, 2),
        image_valid=None if mask.all() else torch.from_numpy(mask)[:, None],
        targets=targets,
        valid=valid,
        names=[item.sample.name for item in items],
        sizes=[item.size for item in items],
        corners=[item.corner for item in items],
    )


def _pad(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if array.shape[:2] == size:
        return array
    padded = np.zeros((*size, *array.shape[2:]), array.dtype)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded
