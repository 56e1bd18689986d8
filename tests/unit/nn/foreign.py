"""A network that is not ours and holds a refiner."""

from __future__ import annotations

import torch
from context_parts import POOLING
from torch import Tensor, nn

from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.pairs import Pair, all_pairs

WIDTH = 8
Fixed = dict[Pair, tuple[str, ...]]


def uniform(kind: str, level: int = 4) -> Fixed:
    """One kind for every pair that may have it."""
    pairs = all_pairs(("seg", "height"), (level,))
    return {pair: (kind if KINDS[kind].on_diagonal or not pair.on_diagonal else NONE,) for pair in pairs}


def every_kind() -> Fixed:
    """Each kind that pools anything, once."""
    pairs = [pair for pair in all_pairs("abcde", (4,)) if not pair.on_diagonal]
    return {pair: (kind.name,) for pair, kind in zip(pairs, POOLING, strict=False)}


class Foreign(nn.Module):
    """Encoder, a decoder and rough labels for each task, the refiner, heads."""

    def __init__(self, kinds: Fixed, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.refiner = ContextRefiner(kinds, WIDTH)
        tasks = self.refiner.tasks
        self.decoders = nn.ModuleDict({task: nn.Conv2d(8, WIDTH, 3, padding=1) for task in tasks})
        self.labels = nn.ModuleDict({task: nn.Conv2d(WIDTH, 4, 1) for task in tasks})
        self.heads = nn.ModuleDict({task: nn.Conv2d(WIDTH, 2, 1) for task in self.refiner.targets})
        with torch.no_grad():  # the fuse starts at zero, and would hide every context
            for name, tensor in [*self.refiner.named_parameters(), *self.named_buffers()]:
                if tensor.is_floating_point():
                    tensor.copy_(
                        torch.rand(tensor.shape) + 0.5 if name.endswith("var") else torch.rand(tensor.shape) - 0.4
                    )
        self.eval()

    def forward(self, image: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """Task -> [B, 2, H/2, W/2]; ``valid`` has the size of the output."""
        shared = self.encoder(image)
        features = {task: decoder(shared) for task, decoder in self.decoders.items()}
        labels = {task: self.labels[task](x) for task, x in features.items()}
        refined = self.refiner(features, labels, valid)
        return {task: head(refined[task]) for task, head in self.heads.items()}
