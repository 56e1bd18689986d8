"""`aspp` and `aspp_dense`: dilated convolutions at several rates, and the image's mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.nn.blocks import PairConv, PairConvBN, valid_mean
from atrcnas.nn.contexts.base import Context, ContextInputs, Projection
from atrcnas.spec.pairs import Pair

# Pixels of the image between neighbouring taps.
REACH = (8, 24, 48)


def rates(level: int) -> tuple[int, ...]:
    """Dilations at ``level``: the same distances in the image at every level, but at least 1, 2 and 3 pixels of the map.

    (2, 6, 12) at level 4, (1, 3, 6) at level 8, (1, 2, 3) at levels 16 and 32. At level 4 the largest spans an image
    of 96 pixels and is a tenth of one of 480 either way; at level 32, where such an image has 15 rows, 3 is a fifth.
    Constant distances at all levels would leave the coarse ones three equal rates, constant rates would push most taps
    off their maps.
    """
    return tuple(max(least, round(reach / level)) for least, reach in enumerate(REACH, start=1))


class Aspp(Context):
    """Views of several widths of the source, joined by a 1x1 convolution.

    The source is brought to width d first; its views are itself with the image's mean (over valid pixels) and three
    depthwise 3x3 convolutions. Padding is zero, as is the outside. While searching the last BatchNorm is not affine:
    whatever comes before it, the map keeps its scale.

    Source: Chen et al., ECCV 2018 (DeepLabv3+), sections 3.1 and 4.2; Chen et al. 2017 (DeepLabv3), section 3.3.
    Differs: :func:`rates`; one 1x1 convolution in front for all views, and none after each depthwise one, since the last
    convolution mixes channels anyway; the mean is added to the undilated view after a linear map without BatchNorm
    (which has no statistics over one value per image), not concatenated, which saves a fifth of the last convolution's
    multiply-adds.
    """

    depthwise = True

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        num_pairs, d = len(self.pairs), out_width
        self.reduce = Projection(self, "source", layers=1)
        self.mean = PairConv(num_pairs, d, d)
        self.views = nn.ModuleList(
            PairConvBN(num_pairs, d, d, kernel=3, dilation=rate, depthwise=self.depthwise)
            for rate in rates(self.pairs[0].level)
        )
        self.value = PairConvBN(num_pairs, (1 + len(self.views)) * d, d, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        near = inputs.masked(self.reduce(self, inputs.features, rows))
        mean = self.mean(valid_mean(near, inputs.valid), rows, grouped=True)
        views = [near + mean, *(F.relu_(view(near, rows, grouped=True)) for view in self.views)]
        # Joined for each pair in channels-last order, which the convolutions want: [B, H, W, n, views * d].
        parts = [view.permute(0, 2, 3, 1).unflatten(3, (len(rows), self.out_width)) for view in views]
        joined = torch.cat(parts, dim=4).flatten(3).permute(0, 3, 1, 2)
        return list(F.relu_(self.value(joined, rows, grouped=True)).split(self.out_width, dim=1))


class DenseAspp(Aspp):
    """`aspp_dense`: :class:`Aspp` with dense 3x3 convolutions at width d, as in DeepLabv3."""

    depthwise = False
