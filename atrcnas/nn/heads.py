"""From task features to predictions: task-feature stems, label branches, final heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.nn.blocks import ConvBN, basic_block, bottleneck_block


def stem(name: str, in_width: int, out_width: int) -> nn.Module:
    """Task features from (neck or level) features; ``name`` as in ``model.task_features``, not "none"."""
    if name == "conv3":
        return ConvBN(in_width, out_width, 3)
    block = bottleneck_block if name == "bottleneck2" else basic_block
    return nn.Sequential(block(in_width, out_width), block(out_width, out_width))


class LabelBranch(nn.Sequential):
    """The auxiliary label logits that `tlabel` and `slabel` pool by; the backbone gets no gradient from it.

    Source: Bruggemann et al. 2021, auxiliary branch: 1x1 conv (C_in -> C_in), BN, ReLU, 1x1 conv.
    """

    def __init__(self, in_width: int, num_labels: int) -> None:
        super().__init__(ConvBN(in_width, in_width), nn.Conv2d(in_width, num_labels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to logits [B, K, H, W]."""
        return super().forward(x.detach())


def predictor(width: int, channels: int) -> nn.Conv2d:
    """1x1 convolution to a task's channels, weights N(0, 0.01), bias 0 (Bruggemann et al. 2021)."""
    conv = nn.Conv2d(width, channels, 1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)
    return conv


class Head(nn.Module):
    """Final prediction of one task.

    Args:
        name: "conv1", "bottleneck2" (both read level 4) or "pyramid" (HRNet's head over all levels).
        widths: level -> channels of this task's features.
        channels: output channels.
    """

    def __init__(self, name: str, widths: Mapping[int, int], channels: int) -> None:
        super().__init__()
        self.levels: Sequence[int] = sorted(widths) if name == "pyramid" else [min(widths)]
        total = sum(widths[level] for level in self.levels)
        body: list[nn.Module] = []
        if name == "bottleneck2":
            body = [bottleneck_block(total, total), bottleneck_block(total, total)]
        elif name == "pyramid":
            body = [ConvBN(total, total)]
        self.body = nn.Sequential(*body, predictor(total, channels))

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        """Map level -> [B, C_level, H/level, W/level] to [B, channels, H/4, W/4]."""
        finest = features[self.levels[0]]
        resized = [resize(features[level], finest.shape[-2:]) for level in self.levels]
        return self.body(torch.cat(resized, dim=1) if len(resized) > 1 else finest)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of [B, C, H, W] to ``size``, corners not aligned; ``x`` itself if it has that size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
