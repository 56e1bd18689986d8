"""Means over the processes of a distributed training; with one process, tensors stay as they are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of ``x`` over all processes, without gradient; ``x`` itself with one process."""
    world = num_processes()
    if world == 1:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / world


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one exchange for each dtype.

    Gradients are averaged so after the backward pass, rather than through DDP during it: the kinds that a step draws
    change from step to step, which DDP would search the graph for, and there is little to hide. The exchange of a
    search on `rooms` (6.1 M parameters) took 2 % of the forward and backward passes on two processes of a loaded
    2-core machine (`python -m analysis.bench.exchange rooms search.batch_size=8`); not measured on GPUs.
    """
    world = num_processes()
    if world == 1:
        return
    alike: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point():
            alike.setdefault(tensor.dtype, []).append(tensor)
    for group in alike.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        flat /= world
        for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view_as(tensor))
