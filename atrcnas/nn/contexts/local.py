"""`local`: attention in a window around each pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.blocks import crop
from atrcnas.nn.contexts.base import Context, ContextInputs, Projection
from atrcnas.spec.pairs import Pair

KERNEL = 9
# Similarity of what is outside of a window, in the form for other runtimes: exp(-40) is nothing beside exp(0).
OUTSIDE = -40.0


class Local(Context):
    """``softmax(q.k / sqrt(d))`` over a 9x9 window.

    Positions outside of the image, and padding, have similarity 0 and value 0 and do take part in the softmax.

    Source: Bruggemann et al. 2021, local context (as the published code computes it).
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.query = Projection(self, "target", layers=2)
        self.key = Projection(self, "source", layers=2)
        self.value = Projection(self, "source", layers=1, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each row: each [B, d, H, W]."""
        if self.plain:
            return self._pair_by_pair(inputs, rows)
        query = self.query(self, inputs.features, rows)
        key = inputs.masked(self.key(self, inputs.features, rows))
        value = inputs.masked(self.value(self, inputs.features, rows))
        return list(window_attention(query, key, value, len(rows)).split(self.out_width, dim=1))

    def _pair_by_pair(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """The same with channels before pixels; the similarities of one pair alone stay in the processor's cache."""
        parts = (part.apart(self, inputs.features, rows) for part in (self.query, self.key, self.value))
        cap = window_cap(inputs.features[self.pairs[rows[0]].target])
        return [
            plain_window_attention(q, inputs.masked(k), inputs.masked(v), cap) for q, k, v in zip(*parts, strict=True)
        ]


def window_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, kernel: int = KERNEL) -> Tensor:
    """Attention of each pixel to the ``kernel`` x ``kernel`` window around it, zero-padded.

    Queries are cut into tiles of side ``kernel - 1``; all windows of a tile lie in the 2 x 2 tiles of the keys shifted
    by half a window. One masked dense attention per tile is then exact, and never holds 81 copies of the keys.

    Args:
        query: [B, heads*d, H, W] float.
        key: as ``query``.
        value: as ``query``.
        heads: independent attentions, stacked in channels.
        kernel: odd window side, in pixels.

    Returns:
        [B, heads*d, H, W], channels-last.
    """
    height, width = query.shape[-2:]
    tile, reach = kernel - 1, kernel // 2
    # Written so that export, where sizes are left free, sees that the padded ones are multiples of the tile.
    right, bottom = ((side + tile - 1) // tile * tile - side for side in (width, height))
    q = _tiles(F.pad(query, (0, right, 0, bottom)), heads, tile)
    halo = (reach, right + reach, reach, bottom + reach)
    k = _windows(_tiles(F.pad(key, halo), heads, tile))
    v = _windows(_tiles(F.pad(value, halo), heads, tile))
    mask = _window_mask(tile, reach, query.device)
    batch, rows, columns = q.shape[:3]
    q, k, v = (x.flatten(0, 2).flatten(2, 3) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = out.unflatten(0, (batch, rows, columns)).unflatten(4, (tile, tile)).permute(0, 1, 4, 2, 5, 3, 6)
    # By way of one dimension: to join rows with a tile's alone, torch 2.9 and 2.10 would need to know their number.
    out = out.flatten(0, 4).unflatten(0, (batch, rows * tile, columns * tile)).flatten(3).permute(0, 3, 1, 2)
    return crop(out, height, width)


def plain_window_attention(query: Tensor, key: Tensor, value: Tensor, cap: Tensor, kernel: int = KERNEL) -> Tensor:
    """:func:`window_attention` of one head in plain products, with channels before pixels; for other runtimes.

    The four tiles of a window lie side by side. The result is the same where some similarity in each window is about
    zero or more, as with queries and keys that are nowhere negative.

    Args:
        query: [B, d, H, W] float.
        key: as ``query``.
        value: as ``query``.
        cap: largest similarities, from :func:`window_cap`.
        kernel: odd window side, in pixels.

    Returns:
        [B, d, H, W], contiguous.
    """
    height, width = query.shape[-2:]
    tile, reach = kernel - 1, kernel // 2
    right, bottom = ((side + tile - 1) // tile * tile - side for side in (width, height))
    halo = (reach, right + reach, reach, bottom + reach)
    q = _flat_tiles(F.pad(query, (0, right, 0, bottom)), tile)
    k, v = (_neighbours(_flat_tiles(F.pad(x, halo), tile)) for x in (key, value))
    similarity = (q * query.shape[1] ** -0.5).transpose(3, 4) @ k
    out = v @ torch.minimum(similarity, cap).softmax(-1).transpose(3, 4)
    out = out.unflatten(4, (tile, tile)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return crop(out, height, width)


def window_cap(like: Tensor, kernel: int = KERNEL) -> Tensor:
    """[tile*tile, 4*tile*tile]: infinity where a key lies in the window of a query, else :data:`OUTSIDE`.

    A mask of minus infinity would leave denormal numbers in ONNX Runtime's softmax, with which a CPU computes many
    times slower.
    """
    tile, reach = kernel - 1, kernel // 2
    inside = _window_mask(tile, reach, like.device).unflatten(1, (2, tile, 2, tile)).transpose(2, 3).flatten(1)
    return torch.where(inside, math.inf, OUTSIDE).to(like.dtype)


def _flat_tiles(x: Tensor, tile: int) -> Tensor:
    """[B, d, Y*tile, X*tile] to [B, Y, X, d, tile*tile]."""
    return _cut(_cut(x, 3, tile), 2, tile).permute(0, 2, 4, 1, 3, 5).flatten(4)


def _neighbours(tiles: Tensor) -> Tensor:
    """Join each 2 x 2 neighbouring tiles: [B, Y+1, X+1, d, n] to [B, Y, X, d, 4*n]."""
    upper, lower = tiles[:, :-1], tiles[:, 1:]
    return torch.cat([upper[:, :, :-1], upper[:, :, 1:], lower[:, :, :-1], lower[:, :, 1:]], dim=4)


def _tiles(x: Tensor, heads: int, tile: int) -> Tensor:
    """[B, heads*d, Y*tile, X*tile] to [B, Y, X, heads, tile, tile, d]; a view when ``x`` is channels-last."""
    y = _cut(_cut(x.permute(0, 2, 3, 1).unflatten(3, (heads, -1)), 2, tile), 1, tile)
    return y.permute(0, 1, 3, 5, 2, 4, 6)


def _cut(x: Tensor, dim: int, tile: int) -> Tensor:
    """A dimension of n*tile as two, n and tile; a view."""
    if isinstance(x.shape[dim], torch.SymInt):  # of a size that export leaves free, it cannot show that tile divides it
        return x.unfold(dim, tile, tile).movedim(-1, dim + 1)
    return x.unflatten(dim, (-1, tile))


def _windows(tiles: Tensor) -> Tensor:
    """Join each 2 x 2 neighbouring tiles: [B, Y+1, X+1, heads, tile, tile, d] to [B, Y, X, heads, 2*tile, 2*tile, d]."""
    tall = torch.cat([tiles[:, :-1], tiles[:, 1:]], dim=4)
    return torch.cat([tall[:, :, :-1], tall[:, :, 1:]], dim=5)


def _window_mask(tile: int, reach: int, device: torch.device) -> Tensor:
    """[tile*tile, (2*tile)**2] bool: which keys of the 2 x 2 tiles lie in the window of which query."""
    query = torch.arange(tile, device=device)[:, None] + reach
    near = (query - torch.arange(2 * tile, device=device)).abs() <= reach
    mask = near[:, None, :, None] & near[None, :, None, :]
    return mask.reshape(tile * tile, 4 * tile * tile)
