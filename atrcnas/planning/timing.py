"""A few real steps and validations, in the form that will run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from atrcnas.data.batch import Batch
from atrcnas.data.sample import Source
from atrcnas.engine.checkpoints import Checkpoints
from atrcnas.engine.listener import Listener
from atrcnas.engine.step import take_step
from atrcnas.engine.training import Training
from atrcnas.engine.validation import validate

WARM_UP, LEAST, MOST = 2, 4, 24
_SAMPLES = 8


class StepTimes(NamedTuple):
    """Means over the timed steps.

    Attributes:
        seconds: of a step, with waiting for its data.
        waiting: for its data.
        shape: of the images of a batch, [B, 3, H, W].
    """

    seconds: float
    waiting: float
    shape: tuple[int, ...]


class SaveTimes(NamedTuple):
    """One checkpoint."""

    seconds: float
    num_bytes: int


def time_steps(training: Training, batches: Iterator[Any], budget_s: float) -> StepTimes:
    """Take steps, at least four after some that warm up, and more while ``budget_s`` seconds last.

    Args:
        training: its weights move.
        batches: as the stage has them; at least 26.
        budget_s: for the timed steps.
    """
    synchronise(training)
    began, waited, number = 0.0, 0.0, 0
    shape: tuple[int, ...] = ()
    for index in range(WARM_UP + MOST):
        if index == WARM_UP:
            began, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        take_step(training, batch)
        synchronise(training)
        shape = tuple(_last(batch).image.shape)
        number = index + 1 - WARM_UP
        if number >= LEAST and time.perf_counter() - began > budget_s:
            break
    return StepTimes((time.perf_counter() - began) / number, waited / number, shape)


def _last(batch: Batch | tuple[Batch, Batch]) -> Batch:
    return batch[1] if isinstance(batch, tuple) else batch


def past_prefetch(batches: Iterable[Any], workers: int) -> Iterator[Any]:
    """The batches after those that loader processes had ready at the beginning, which nobody waits for."""
    return islice(iter(batches), 2 * workers, None)


def time_validation(training: Training, loader: Iterable[Batch], num_batches: int) -> float:
    """Seconds of a validation on the first ``num_batches``, with its figures."""
    batches = list(islice(iter(loader), num_batches))
    began = time.perf_counter()
    validate(training, batches, Listener())
    synchronise(training)
    return time.perf_counter() - began


def time_reading(source: Source, samples: Sequence[int]) -> tuple[float, int]:
    """Seconds to read a sample, and its bytes in memory, of the last of ``samples``."""
    chosen = samples[-_SAMPLES:]
    began = time.perf_counter()
    read = [source[index] for index in chosen]
    seconds = (time.perf_counter() - began) / len(chosen)
    arrays = [[one.image, *one.targets.values(), *one.valid.values()] for one in read]
    return seconds, sum(array.nbytes for group in arrays for array in group) // len(chosen)


def time_saving(training: Training) -> SaveTimes:
    """Write a checkpoint to a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints, began = Checkpoints(Path(folder)), time.perf_counter()
        checkpoints.save(training.state())
        return SaveTimes(time.perf_counter() - began, checkpoints.last.stat().st_size)


def synchronise(training: Training) -> None:
    """Wait for the device."""
    if training.fabric.device.type == "cuda":
        torch.cuda.synchronize(training.fabric.device)
