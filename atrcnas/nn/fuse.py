"""What joins a target's own features with the maps that were pooled for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from atrcnas.nn.blocks import ConvBN, Mergeable, Portable
from atrcnas.spec.pairs import Pair


class Fuse(nn.Module):
    """Base of both."""

    def inherit(self, supernet: Fuse) -> None:
        """Copy what has the same name and shape in the supernet's; the rest stays as it is."""
        given = supernet.state_dict()
        for key, value in self.state_dict().items():
            if key in given and given[key].shape == value.shape:
                value.copy_(given[key])


class ConcatFuse(Fuse, Mergeable, Portable):
    """Concatenated maps -> 1x1 convolution, BatchNorm (starting at zero) -> joined with the target's own features.

    No activation follows that BatchNorm, so that inference reads own features and maps with the last convolution alone.

    Source: Bruggemann et al. 2021, figure 3.
    """

    def __init__(self, pairs: list[Pair], width: int, hidden: int, refine: bool, dropout: float) -> None:
        super().__init__()
        self.pairs, self.hidden = pairs, hidden
        self.project = ConvBN(len(pairs) * hidden, width, activate=False) if pairs else None
        if self.project is not None:
            nn.init.zeros_(self.project.norm.weight)
        self.refine = _refine(2 * width if pairs else width, width, dropout) if refine else None
        self.merged = False

    def forward(self, own: Tensor, maps: Mapping[Pair, Tensor]) -> Tensor:
        """Fuse own features [B, C, H, W] with the maps [B, d, H, W] of those pairs that have one."""
        if self.merged and self.refine is not None:
            return self.refine(self._joined(own, maps, first=[own]))
        if self.project is None:
            return own if self.refine is None else self.refine(own)
        context = self.project(self._joined(own, maps))
        if self.refine is None:
            return own + context
        return self.refine(torch.cat([own, context], dim=1))

    def inherit(self, supernet: Fuse) -> None:
        """Copy what is shared, of the projection the columns of these pairs; without any, what reads own features."""
        super().inherit(supernet)
        if not isinstance(supernet, ConcatFuse) or supernet.project is None:
            return
        if self.project is None and self.refine is not None and supernet.refine is not None:
            ours, theirs = cast(ConvBN, self.refine[0]), cast(ConvBN, supernet.refine[0])
            own, context = theirs.conv.weight.split(ours.conv.in_channels, dim=1)
            ours.conv.weight.copy_(own)
            # Of maps that are all zero the supernet's projection makes a constant, which the next BatchNorm takes in here.
            conv, norm = supernet.project.conv, supernet.project.norm
            mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
            _, constant = fuse_conv_bn_weights(conv.weight, None, mean, variance, norm.eps, norm.weight, norm.bias)
            cast(Tensor, ours.norm.running_mean).sub_(context.flatten(1) @ constant)
        if self.project is not None:
            columns = supernet.project.conv.weight.split(self.hidden, dim=1)
            own = [columns[supernet.pairs.index(pair)] for pair in self.pairs]
            self.project.conv.weight.copy_(torch.cat(own, dim=1))

    def merge(self) -> None:
        """Multiply the projection into the columns of the last convolution that read it."""
        if self.project is None or self.refine is None:
            return
        last, first = cast(ConvBN, self.refine[0]).conv, self.project.conv
        if last.bias is None or first.bias is None:
            return  # a BatchNorm is still there
        own, context = last.weight.flatten(1).split(last.out_channels, dim=1)
        weight = torch.cat([own, context @ first.weight.flatten(1)], dim=1)
        last.bias = nn.Parameter(last.bias + context @ first.bias, requires_grad=False)
        last.weight = nn.Parameter(weight[:, :, None, None], requires_grad=False)
        last.in_channels, self.project, self.merged = weight.shape[1], None, True

    def _joined(self, own: Tensor, maps: Mapping[Pair, Tensor], first: Sequence[Tensor] = ()) -> Tensor:
        zero = own.new_zeros(()).expand(own.shape[0], self.hidden, *own.shape[2:])
        parts = [*first, *(maps.get(pair, zero) for pair in self.pairs)]
        if self.plain:
            return torch.cat(parts, dim=1)
        # Joined in channels-last order, which the maps have and the convolution wants.
        return torch.cat([part.permute(0, 2, 3, 1) for part in parts], dim=3).permute(0, 3, 1, 2)


class SumFuse(Fuse):
    """Own features plus all maps (PAD-Net, MTI-Net)."""

    def __init__(self, pairs: list[Pair], width: int, hidden: int, refine: bool, dropout: float) -> None:
        super().__init__()
        self.pairs = pairs
        self.refine = _refine(width, width, dropout) if refine else None

    def forward(self, own: Tensor, maps: Mapping[Pair, Tensor]) -> Tensor:
        """Fuse own features [B, C, H, W] with the maps [B, C, H, W] of those pairs that have one."""
        fused = sum((maps[pair] for pair in self.pairs if pair in maps), own)
        return fused if self.refine is None else self.refine(fused)


def _refine(in_width: int, out_width: int, dropout: float) -> nn.Sequential:
    block = ConvBN(in_width, out_width)
    return nn.Sequential(block, nn.Dropout2d(dropout)) if dropout else nn.Sequential(block)
