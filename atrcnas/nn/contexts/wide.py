"""`wide`: a depthwise convolution with a large kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.nn.blocks import Foldable, PairConvBN
from atrcnas.nn.contexts.base import Context, ContextInputs, Projection
from atrcnas.spec.pairs import Pair

KERNELS = (13, 5, 3)


class Wide(Context):
    """1x1 convolution to width d, depthwise 13x13, 1x1 convolution, each with BatchNorm and ReLU.

    Sees six pixels in every direction at a fraction of what attention costs. Padding is zero, as is the outside. While
    searching the last BatchNorm is not affine: whatever comes before it, the map keeps its scale.

    Source: Ding et al., CVPR 2022 (RepLKNet), section 4.1. Differs: no shortcut; no BatchNorm in front, since the
    features have been through one; a second small kernel.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.reduce = Projection(self, "source", layers=1)
        self.view = LargeKernel(len(self.pairs), out_width)
        self.value = PairConvBN(len(self.pairs), out_width, out_width, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        reduced = inputs.masked(self.reduce(self, inputs.features, rows))
        viewed = F.relu_(self.view(reduced, rows))
        return list(F.relu_(self.value(viewed, rows, grouped=True)).split(self.out_width, dim=1))


class LargeKernel(Foldable):
    """Parallel depthwise convolutions with BatchNorm each, summed; inference merges them into the largest.

    The small kernels let the large one learn fine structure (Ding et al. 2022, section 3.2).

    Args:
        num_pairs: P.
        width: channels of each pair.
        kernels: odd sides, the largest first.
    """

    def __init__(self, num_pairs: int, width: int, kernels: Sequence[int] = KERNELS) -> None:
        super().__init__()
        large, *small = (PairConvBN(num_pairs, width, width, kernel=side, depthwise=True) for side in kernels)
        self.large, self.small = large, nn.ModuleList(small)

    def forward(self, x: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Filter [B, n*d, H, W], n ``rows``, to the same shape."""
        y: Tensor = self.large(x, rows, grouped=True)
        for conv in self.small:
            y = y + conv(x, rows, grouped=True)
        return y

    def fold(self) -> None:
        """Merge the kernels, zeros around the smaller ones."""
        weight, bias = self.large.folded()
        for conv in cast(Iterable[PairConvBN], self.small):
            small_weight, small_bias = conv.folded()
            margin = (self.large.kernel - conv.kernel) // 2
            weight, bias = weight + F.pad(small_weight, [margin] * 4), bias + small_bias
        self.large.weight, self.large.folded_bias = nn.Parameter(weight), bias
        self.small = nn.ModuleList()
