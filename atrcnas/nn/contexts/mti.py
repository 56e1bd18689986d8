"""`mti`: the gated distillation of PAD-Net and MTI-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.spec.pairs import Pair


class Mti(Context):
    """``sigmoid(conv3x3(F_s)) * conv3x3(F_s)``, without bias.

    Source: Xu et al., CVPR 2018 (PAD-Net), equation 3; Vandenhende et al., ECCV 2020 (MTI-Net), equation 1.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        # Per pair d gate filters, then d feature filters.
        self.weight = nn.Parameter(torch.empty(len(self.pairs), 2, out_width, width, 3, 3))
        for filters in self.weight.data.flatten(0, 1):
            nn.init.xavier_uniform_(filters)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        maps: dict[int, Tensor] = {}
        for source, group in self.rows_by(rows, "source").items():
            filters = torch.cat([self.weight[row].flatten(0, 1) for row in group])
            both = F.conv2d(inputs.masked(inputs.features[source]), filters, padding=1)
            for row, part in zip(group, both.split(2 * self.out_width, dim=1), strict=True):
                gate, feature = part.chunk(2, dim=1)
                maps[row] = gate.sigmoid() * feature
        return [maps[row] for row in rows]
