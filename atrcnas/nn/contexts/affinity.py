"""`affinity`: the target's own values, spread along the structure of the source."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.contexts.base import Context, ContextInputs, Projection
from atrcnas.nn.contexts.local import plain_window_attention, window_attention, window_cap
from atrcnas.spec.pairs import Pair

TAU = 0.1
# From this level on maps are small enough to compare every pixel with every other.
DENSE_LEVEL = 16


class Affinity(Context):
    """``out_i = sum_j softmax_j(k_i.k_j / tau) v_j`` with unit keys k of the source and values v of the target.

    Over a 9x9 window at levels 4 and 8, over the whole map at levels 16 and 32; the outside and padding take no part.
    On the diagonal the target's own structure guides it.

    Source: Zhang et al., CVPR 2019 (PAP), section 3. Differs: one pass instead of an iterated diffusion, cosine
    similarity with tau = 0.1, keys centred by BatchNorm, and one source at a time instead of a weighted sum of all
    tasks' affinities.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.key = Projection(self, "source", layers=1, last="linear")
        self.value = Projection(self, "target", layers=1, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        key = F.normalize(self._apart(self.key(self, inputs.features, rows)), dim=-1)
        value = self._apart(self.value(self, inputs.features, rows))
        # A last channel of ones pools to the share of attention that fell on pixels of the image: where there are none,
        # similarity and values are 0, and dividing by the share leaves the softmax over the image only.
        key, value = F.pad(key, (0, 1)), F.pad(value, (0, 1), value=1.0)
        if inputs.valid is not None:
            valid = inputs.valid.to(value.dtype).permute(0, 2, 3, 1).unsqueeze(-1)
            key, value = key * valid, value * valid
        scale = math.sqrt(key.shape[-1]) / TAU
        attend = self._attend_everywhere if self.pairs[0].level >= DENSE_LEVEL else self._attend_near
        pooled = attend(key * scale, key, value)
        # Each pixel is in its own window, with the greatest possible similarity, so that the share is never small.
        maps = pooled[..., :-1] / pooled[..., -1:].clamp(min=1e-6)
        return [one.permute(0, 3, 1, 2) for one in maps.unbind(3)]

    def _apart(self, x: Tensor) -> Tensor:
        """[B, n*d, H, W] to [B, H, W, n, d]; a view when ``x`` is channels-last."""
        return x.permute(0, 2, 3, 1).unflatten(3, (-1, self.out_width))

    def _attend_near(self, *maps: Tensor) -> Tensor:
        heads = maps[0].shape[3]
        query, key, value = (x.flatten(3).permute(0, 3, 1, 2) for x in maps)
        if self.plain:
            cap, parts = window_cap(query), [x.chunk(heads, dim=1) for x in (query, key, value)]
            pooled = torch.cat([plain_window_attention(q, k, v, cap) for q, k, v in zip(*parts, strict=True)], dim=1)
        else:
            pooled = window_attention(query, key, value, heads)
        return pooled.permute(0, 2, 3, 1).unflatten(3, (heads, -1))

    def _attend_everywhere(self, *maps: Tensor) -> Tensor:
        height, width = maps[0].shape[1:3]
        query, key, value = (x.flatten(1, 2).transpose(1, 2) for x in maps)
        pooled = F.scaled_dot_product_attention(query, key, value)
        return pooled.transpose(1, 2).unflatten(1, (height, width))
