"""Activation checkpointing of a kind: none of it is kept for the backward pass, which computes it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.contexts.base import ContextInputs
from atrcnas.nn.whole_batch import WholeBatch


def recomputed(context: nn.Module, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
    """``context(inputs, rows)``, keeping only its inputs; random numbers are drawn again as they were.

    What ``inputs`` computes once for several kinds must be there already.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _as_before(context, WholeBatch.again())

    maps: list[Tensor] = checkpoint(context, inputs, rows, use_reentrant=False, context_fn=contexts)
    return maps


@contextmanager
def _as_before(context: nn.Module, whole: AbstractContextManager[Any]) -> Iterator[None]:
    """Running statistics saw this batch in the forward pass; a second time would count it twice."""
    norms = [module for module in context.modules() if isinstance(module, PairConvBN | _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        with whole:
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
