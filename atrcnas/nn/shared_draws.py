"""Random draws of one process's images as one process draws them for the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Dropout = Callable[..., Tensor]
DROPOUTS: tuple[Dropout, ...] = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)


@dataclass(frozen=True)
class Share:
    """The images ``rank, rank + world, ...`` of a batch.

    All is drawn and most of it left, so that the generator, which is seeded alike in every process, also goes on alike;
    for a short time this takes ``world`` times the memory of what is drawn.

    Attributes:
        images: how many they are.
        rank: of this process.
        world: number of processes.
    """

    images: int
    rank: int
    world: int

    def dropout(self, drop: Dropout, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """One of :data:`DROPOUTS` of ``x``, [images * n, ...], by image; of any other shape, the same in all processes."""
        if not training or p == 0 or len(x) % self.images:
            return drop(x, p, training, inplace)
        # A dropout of channels draws one number for each, whatever their size.
        ones = torch.ones_like(x) if drop is F.dropout else x.new_ones((*x.shape[:2], *[1] * (x.ndim - 2)))
        factor = self._own(drop(self._whole(ones), p))
        return x.mul_(factor) if inplace else x * factor

    def bernoulli(self, x: Tensor, p: float | Tensor = 0.5, *, generator: torch.Generator | None = None) -> Tensor:
        """Fill ``x``, [images, ...], by image; by a generator, a tensor or in any other shape as it is."""
        if generator is not None or isinstance(p, Tensor) or len(x) != self.images:
            return x.bernoulli_(p, generator=generator)
        return x.copy_(self._own(self._whole(x).bernoulli_(p)))

    def _whole(self, x: Tensor) -> Tensor:
        return torch.cat([x] * self.world)

    def _own(self, whole: Tensor) -> Tensor:
        by_image = whole.unflatten(0, (self.images * self.world, -1))
        return by_image[self.rank :: self.world].flatten(0, 1)
