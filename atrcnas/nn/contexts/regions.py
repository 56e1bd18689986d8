"""Attention to a few regions of the source, which each kind finds in its own way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.contexts.base import Context, ContextInputs, Projection, to_maps, to_tokens
from atrcnas.spec.pairs import Pair


class RegionContext(Context):
    """Region vectors are weighted means of the source features; queries of the target attend to the regions.

    Source: Yuan et al., ECCV 2020 (object-contextual representations).
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.query = Projection(self, "target", layers=2)
        self.key = Projection(self, "source", layers=2)
        self.value = Projection(self, "source", layers=1, affine=not searching)

    def regions(self, inputs: ContextInputs, rows: tuple[int, ...]) -> dict[int, Tensor]:
        """Region vectors of each row, [B, C, K]; K may differ between rows."""
        raise NotImplementedError

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        regions = self.regions(inputs, rows)
        if self.plain:
            return self._pair_by_pair(inputs, rows, regions)
        height, width = inputs.features[self.pairs[rows[0]].target].shape[-2:]
        # Taken apart once, so that one stacking puts the gradients of all rows in place.
        queries = to_tokens(self.query(self, inputs.features, rows), len(rows)).unbind(1)
        maps: dict[int, Tensor] = {}
        for group in _by_region_count(rows, regions):
            key, value = (to_tokens(part, len(group)) for part in self._key_and_value(regions, group))
            own = torch.stack([queries[rows.index(row)] for row in group], dim=1)
            pooled = F.scaled_dot_product_attention(own, key, value)
            maps.update(zip(group, to_maps(pooled, height, width), strict=True))
        return [maps[row] for row in rows]

    def _key_and_value(self, regions: dict[int, Tensor], group: tuple[int, ...]) -> list[Tensor]:
        """Projections of the regions, each [B, n*d, K, 1]."""
        # [B, n*C, K, 1]: one group of channels for each pair, so that BatchNorm sees each pair's regions separately.
        stacked = torch.cat([regions[row] for row in group], dim=1).unsqueeze(-1)
        return [
            project.finish(project.first(stacked, group, grouped=True), group) for project in (self.key, self.value)
        ]

    def _pair_by_pair(self, inputs: ContextInputs, rows: tuple[int, ...], regions: dict[int, Tensor]) -> list[Tensor]:
        """The same with channels before pixels, as contiguous maps have them."""
        queries = dict(zip(rows, self.query.apart(self, inputs.features, rows), strict=True))
        maps: dict[int, Tensor] = {}
        for group in _by_region_count(rows, regions):
            for row, key, value in zip(
                group,
                *(x.squeeze(-1).chunk(len(group), dim=1) for x in self._key_and_value(regions, group)),
                strict=True,
            ):
                query = queries[row]
                weights = (query.flatten(2).transpose(1, 2) @ (key * self.out_width**-0.5)).softmax(-1)
                maps[row] = (value @ weights.transpose(1, 2)).unflatten(2, query.shape[2:])
        return [maps[row] for row in rows]


def _by_region_count(rows: tuple[int, ...], regions: dict[int, Tensor]) -> list[tuple[int, ...]]:
    """Group rows by their number of regions, each group in the order of ``rows``."""
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(regions[row].shape[-1], []).append(row)
    return [tuple(group) for group in groups.values()]
