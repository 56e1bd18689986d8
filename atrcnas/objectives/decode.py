"""How raw network output becomes a prediction, by the names the task table uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class Decoder:
    """One decoder.

    Attributes:
        name: the word used in the task table.
        function: [B, C, H, W] float network output -> prediction, as the task's metric and ``predict`` take it.
    """

    name: str
    function: Callable[[Tensor], Tensor]


DECODERS: Registry[Decoder] = Registry("decoder")


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


DECODERS.register(Decoder("argmax", argmax))
DECODERS.register(Decoder("clamp", clamp))
DECODERS.register(Decoder("unit", unit))
DECODERS.register(Decoder("foreground", foreground))
DECODERS.register(Decoder("sigmoid", sigmoid))
