"""`cross`: attention of the target to the whole source, at reduced resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.blocks import PairConv, PairConvBN, crop, resize
from atrcnas.nn.contexts.base import Context, ContextInputs, Projection, to_maps, to_tokens
from atrcnas.spec.pairs import Pair

STRIDE = 2
# Pixels of the image between neighbouring keys.
KEY_STRIDE = 16


class Cross(Context):
    """Softmax attention with queries of every second pixel and keys of cells of 16 x 16 pixels of the image.

    ``q = W_q BN(DW3x3(F_t))`` with stride 2; keys and values are projections of the average-pooled source. The pooled
    map is upsampled by 2 (bilinear). Padding takes part neither in cells nor in the softmax nor in upsampling.

    Source: Ye and Xu, ECCV 2022 (InvPT), section 3.3. Differs: one softmax for each source, not one over the pixels of
    all tasks; one head; values with BatchNorm and ReLU as in the other kinds; no attention messages between scales; no
    shortcut and no MLP, which the fuse replaces; the size of cells.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        num_pairs = len(self.pairs)
        self.cell = max(KEY_STRIDE // self.pairs[0].level, 1)
        self.reduce = PairConvBN(num_pairs, width, width, kernel=3, stride=STRIDE, depthwise=True)
        self.query = PairConv(num_pairs, width, out_width)
        self.key = PairConv(num_pairs, width, out_width)
        self.value = Projection(self, "source", layers=1, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        height, width = inputs.features[self.pairs[rows[0]].target].shape[-2:]
        coarse = self._queries(inputs, rows)
        cells, some = self._cells(inputs, rows)
        key = self.from_each("source", cells, rows, lambda x, group: self.key(x, group, grouped=False))
        value = self.value(self, cells, rows)
        query, key, value = (to_tokens(x, len(rows)) for x in (coarse, key, value))
        pooled = F.scaled_dot_product_attention(query, key, value, attn_mask=_bias(some, query.dtype))
        maps = torch.cat(to_maps(pooled, *coarse.shape[-2:]), dim=1)
        return list(crop(_upsampled(maps, inputs.valid), height, width).split(self.out_width, dim=1))

    def _queries(self, inputs: ContextInputs, rows: tuple[int, ...]) -> Tensor:
        targets = {self.pairs[row].target for row in rows}
        features = {task: inputs.masked(inputs.features[task]) for task in sorted(targets)}
        reduced = self.from_each(
            "target", features, rows, lambda x, group: self.reduce.convolve(x, group, grouped=False)
        )
        return self.query(self.reduce.normalise(reduced, rows), rows, grouped=True)

    def _cells(self, inputs: ContextInputs, rows: tuple[int, ...]) -> tuple[dict[str, Tensor], Tensor | None]:
        """The mean of the valid pixels of each cell: source -> [B, C, h, w], and the share of them [B, 1, h, w]."""
        sources = sorted({self.pairs[row].source for row in rows})
        if self.cell == 1:
            share = None if inputs.valid is None else inputs.valid.to(inputs.features[sources[0]].dtype)
            return {task: inputs.features[task] for task in sources}, share
        example = inputs.features[sources[0]]
        share = self._averaged(inputs.masked(torch.ones_like(example[:, :1])))
        cells = {
            task: self._averaged(inputs.masked(inputs.features[task])) / share.clamp(min=self.cell**-2)
            for task in sources
        }
        return cells, None if inputs.valid is None else share

    def _averaged(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return F.avg_pool2d(F.pad(x, (0, -width % self.cell, 0, -height % self.cell)), self.cell)


def _bias(share: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """[B, 1, 1, h*w], so low for cells without a valid pixel that they get no attention; finite, in case all are such."""
    if share is None:
        return None
    empty = (share == 0).flatten(2).unsqueeze(1)
    return torch.zeros_like(empty, dtype=dtype).masked_fill(empty, torch.finfo(dtype).min / 2)


def _upsampled(x: Tensor, valid: Tensor | None) -> Tensor:
    """Bilinear by 2, from valid pixels only."""
    size = [STRIDE * side for side in x.shape[-2:]]
    if valid is None:
        return resize(x, size)
    mask = valid[..., ::STRIDE, ::STRIDE].to(x.dtype)
    return resize(x * mask, size) / resize(mask, size).clamp(min=1e-6)
