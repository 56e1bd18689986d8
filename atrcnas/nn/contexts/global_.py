"""`global`: linear attention over the whole image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from atrcnas.nn.contexts.base import Context, ContextInputs, Projection, to_maps, to_tokens
from atrcnas.spec.pairs import Pair


class Global(Context):
    """``(V K^T) Q / (sum(K)^T Q)``, with softplus as the feature map; never forms an N x N matrix.

    Padding takes no part: its keys are zero.

    Source: Bruggemann et al. 2021, global context; Katharopoulos et al., ICML 2020, equation 5.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.query = Projection(self, "target", layers=2, last="softplus")
        self.key = Projection(self, "source", layers=2, last="softplus")
        self.value = Projection(self, "source", layers=1, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        if self.plain:
            return self._pair_by_pair(inputs, rows)
        height, width = inputs.features[self.pairs[rows[0]].target].shape[-2:]
        query = to_tokens(self.query(self, inputs.features, rows), len(rows))
        key = to_tokens(inputs.masked(self.key(self, inputs.features, rows)), len(rows))
        value = to_tokens(self.value(self, inputs.features, rows), len(rows))
        pooled = query @ (key.transpose(-1, -2) @ value)
        norm = query @ key.sum(dim=-2).unsqueeze(-1)
        return to_maps(pooled / torch.clamp(norm, min=1e-12), height, width)

    def _pair_by_pair(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """The same with channels before pixels, as contiguous maps have them."""
        parts = (part.apart(self, inputs.features, rows) for part in (self.query, self.key, self.value))
        maps = []
        for query, key, value in zip(*parts, strict=True):
            q, k, v = (x.flatten(2) for x in (query, inputs.masked(key), value))
            norm = k.sum(dim=2).unsqueeze(1) @ q
            pooled = (v @ k.transpose(1, 2)) @ q / torch.clamp(norm, min=1e-12)
            maps.append(pooled.unflatten(2, query.shape[2:]))
        return maps
