"""Gumbel noise of a training step, a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

COPIES = 2**31  # of the draws of copies: as far from those of contexts as the 32 bits that torch reads of a seed allow


def gumbel(shape: Sequence[int], seed: int, step: int, number: int = 0, stream: int = 0) -> Tensor:
    """Noise in double precision on the CPU, so that every device and every process sees the same.

    Args:
        shape: of the noise.
        seed: of the search.
        step: 0, 1, ...
        number: 0, 1, ... of several independent draws in a step.
        stream: what the noise is for, 0 or :data:`COPIES`; they are independent.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step + stream)
    for _ in range(number + 1):  # not another seed, since the next step has that
        uniform = torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_min(1e-300)))
