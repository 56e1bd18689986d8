"""How raw network output becomes a prediction, by the names of the table in spec/decoders.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def argmax(output: Tensor) -> Tensor:
    """[B, K, H, W] logits -> [B, H, W] int64, the most likely class."""
    return output.argmax(dim=1)


def clamp(output: Tensor) -> Tensor:
    """[B, 1, H, W] -> the same, at least float32 and >= 0: a distance is never negative."""
    return _at_least_float32(output).clamp(min=0)


def unit(output: Tensor) -> Tensor:
    """[B, 3, H, W] -> the same direction with length 1; a zero vector stays zero."""
    return F.normalize(_at_least_float32(output), dim=1)


def foreground(output: Tensor) -> Tensor:
    """[B, 2, H, W] logits -> [B, H, W] probability of class 1, in [0, 1]."""
    return _at_least_float32(output).softmax(dim=1)[:, 1]


def sigmoid(output: Tensor) -> Tensor:
    """[B, 1, H, W] logits -> [B, H, W] probability, in [0, 1]."""
    return _at_least_float32(output)[:, 0].sigmoid()


def _at_least_float32(output: Tensor) -> Tensor:
    """Half precision would quantise a probability to 8 bits, coarser than the 99 thresholds of the edge metric."""
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def as_map(x: Tensor) -> NDArray[Any]:
    """First of a batch of [B, H, W], [B, 1, H, W] or [B, 3, H, W] as [H, W] or [H, W, 3]."""
    one = x[0].cpu().numpy()
    if one.ndim == 3:
        one = one[0] if len(one) == 1 else np.moveaxis(one, 0, -1)
    return one
