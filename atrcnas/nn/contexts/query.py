"""`query`: attention to learned regions of the source."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from atrcnas.nn.blocks import PairConv
from atrcnas.nn.contexts.base import ContextInputs, spatial_softmax
from atrcnas.nn.contexts.regions import RegionContext
from atrcnas.spec.pairs import Pair

NUM_REGIONS = 32


class Query(RegionContext):
    """As the label kinds, with the regions ``F_s softmax_N(W_K F_s)^T`` of 32 learned vectors in place of a label map.

    No label branch and no label loss: the difference from the label kinds is what their supervision is worth.

    Source: Bruggemann et al. 2021, label contexts, with learned queries as in Carion et al., ECCV 2020 (DETR).
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.seeds = PairConv(len(self.pairs), width, NUM_REGIONS)

    def regions(self, inputs: ContextInputs, rows: tuple[int, ...]) -> dict[int, Tensor]:
        """Region vectors of each row, [B, C, 32]: one matrix product per source."""
        regions: dict[int, Tensor] = {}
        for source, group in self.rows_by(rows, "source").items():
            features = inputs.features[source]
            weights = spatial_softmax(self.seeds(features, group, grouped=False), inputs.valid)
            pooled = features.flatten(2) @ weights.transpose(1, 2).to(features.dtype)
            regions.update(zip(group, pooled.split(NUM_REGIONS, dim=2), strict=True))
        return regions
