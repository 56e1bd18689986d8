"""What a step does, counted rather than timed: operators, the sizes of what they make, what waits for the backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from analysis.bench.measure import Step, backward

_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default)


class Watch(TorchDispatchMode):
    """Counts convolutions, forward and backward, and notes the largest tensor that any operator made.

    Attributes:
        convolutions: shapes of the weights, one entry for each call.
        largest: elements of the largest tensor, and the operator that made it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions: list[tuple[int, ...]] = []
        self.largest: tuple[int, str] = (0, "")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and look at what it made."""
        if func in _CONVOLUTIONS:
            weight = args[1] if func is _CONVOLUTIONS[0] else args[2]
            self.convolutions.append(tuple(weight.shape))
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            elements = leaf.untyped_storage().nbytes() // leaf.itemsize if isinstance(leaf, Tensor) else 0
            if elements > self.largest[0]:
                self.largest = (elements, str(func))
        return made


def watched(step: Callable[[], Iterable[Tensor]]) -> Watch:
    """A forward pass and the backward pass from a gradient of ones."""
    with Watch() as watch:
        backward(list(step()))
    return watch


def multiply_adds(step: Step) -> float:
    """Of one call."""
    with FlopCounterMode(display=False) as counter:
        step(0)
    return counter.get_total_flops() / 2


def saved_bytes(module: nn.Module, step: Callable[[], Any]) -> int:
    """Bytes that the backward pass of ``step`` waits for, each storage once, without parameters and buffers."""
    own = {x.untyped_storage().data_ptr() for x in [*module.parameters(), *module.buffers()]}
    saved: dict[int, Tensor] = {}  # kept alive, so that no address is used twice

    def pack(x: Tensor) -> Tensor:
        saved.setdefault(x.untyped_storage().data_ptr(), x.detach())
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        step()
    return sum(x.untyped_storage().nbytes() for address, x in saved.items() if address not in own)
