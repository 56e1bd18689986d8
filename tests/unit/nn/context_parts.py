"""Random weights and inputs for tests of single kinds."""

from __future__ import annotations

import torch
from torch import Tensor

from atrcnas.nn.contexts.base import Context
from atrcnas.spec.kinds import KINDS

POOLING = [kind for kind in KINDS if kind.module is not None]
TASKS = ("a", "b", "c")
NUM_LABELS = {"a": 5, "b": 3, "c": 5}
WIDTH, HIDDEN = 8, 4


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """No zeros or identities left that would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(0.5 + values if name.endswith("var") else values - 0.4)


def tensors(
    height: int = 11, width: int = 14, batch: int = 2, seed: int = 1
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int) -> Tensor:
        return torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)

    return {task: draw(WIDTH) for task in TASKS}, {task: draw(NUM_LABELS[task]) for task in TASKS}


def every_row(context: Context) -> tuple[int, ...]:
    return tuple(range(len(context.pairs)))
