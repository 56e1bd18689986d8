"""One canvas for the images of a step, though several processes have put together their parts of the batch apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from atrcnas.data.batch import Batch
from atrcnas.objectives.averaging import num_processes
from atrcnas.spec.data import DataSpec


def on_one_canvas(batches: Iterable[Any], data: DataSpec, device: torch.device) -> Iterable[Any]:
    """Pad each batch to the largest of all processes', as one process pads the whole batch.

    Args:
        batches: of this process, :class:`Batch` or tuples of these; as many as the others have.
        data: with a crop size all canvases are of that size already, and nothing is done.
        device: on which the processes exchange sizes.
    """
    if num_processes() == 1 or (data.augment is not None and data.augment.crop_size is not None):
        return batches
    return _widened(batches, device)


def _widened(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    for batch in batches:
        yield tuple(_widen(part, device) for part in batch) if isinstance(batch, tuple) else _widen(batch, device)


def _widen(batch: Batch, device: torch.device) -> Batch:
    size = torch.tensor(batch.image.shape[-2:], device=device)
    dist.all_reduce(size, op=dist.ReduceOp.MAX)
    return batch.widened(*size.tolist())
