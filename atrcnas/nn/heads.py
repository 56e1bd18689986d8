"""From task features to predictions: task-feature stems, label branches, final heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from atrcnas.nn import winograd
from atrcnas.nn.blocks import ConvBN, basic_block, bottleneck_block, resize, valid_mean


def stem(name: str, in_width: int, out_width: int) -> nn.Module:
    """Task features from (neck or level) features; ``name`` as in ``model.task_features``, not "none"."""
    if name == "conv3":
        return ConvBN(in_width, out_width, 3)
    block = bottleneck_block if name == "bottleneck2" else basic_block
    return nn.Sequential(block(in_width, out_width), block(out_width, out_width))


class TaskFeatures(nn.ModuleDict):
    """One stem per task, at one level.

    Args:
        name: as in ``model.task_features``, not "none".
        tasks: their names.
        in_width: channels of the neck's map.
        out_width: C.
    """

    def __init__(self, name: str, tasks: Iterable[str], in_width: int, out_width: int) -> None:
        super().__init__({task: stem(name, in_width, out_width) for task in tasks})

    def forward(
        self, x: Tensor, carried: Mapping[str, Tensor] | None = None, tasks: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """Map [B, C_in, H, W] to task -> [B, C, H, W].

        Args:
            x: shared by ``tasks``.
            carried: task -> [B, C_carried, h, w], resized and joined to ``x`` for that task alone.
            tasks: some of them; all if None.
        """
        wanted = {task: self[task] for task in (self if tasks is None else tasks)}
        if carried is not None:
            size = x.shape[-2:]
            return {task: one(torch.cat([x, resize(carried[task], size)], dim=1)) for task, one in wanted.items()}
        plain = {task: one for task, one in wanted.items() if isinstance(one, ConvBN)}
        weights = [one.conv.weight for one in plain.values()]
        if self.training and len(plain) == len(wanted) and winograd.pays(x, weights):
            maps = winograd.conv3x3(x, weights)
            return {task: one.finish(y) for (task, one), y in zip(plain.items(), maps, strict=True)}
        return {task: one(x) for task, one in wanted.items()}


class LabelBranch(nn.Sequential):
    """The auxiliary label logits that `tlabel` and `slabel` pool by; the backbone gets no gradient from it.

    Source: Bruggemann et al. 2021, auxiliary branch: 1x1 conv (C_in -> C_in), BN, ReLU, 1x1 conv.
    """

    def __init__(self, in_width: int, num_labels: int) -> None:
        super().__init__(ConvBN(in_width, in_width), predictor(in_width, num_labels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to logits [B, K, H, W]."""
        return super().forward(x.detach())


def predictor(width: int, channels: int) -> nn.Conv2d:
    """1x1 convolution to a task's channels, weights N(0, 0.01), bias 0 (Bruggemann et al. 2021)."""
    conv = nn.Conv2d(width, channels, 1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(cast(Tensor, conv.bias))
    return conv


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: views of several widths, and of the whole image, into one map.

    Args:
        width: C, channels of features and result.

    Source: Chen et al. 2017 (DeepLabv3), section 3.3. Differs: the rates count pixels of level 4, not of stride 16; the
    image's mean passes a convolution with bias and no BatchNorm, which has no statistics over one value per image (a
    batch of one could not be trained, and of two would know no more than which is larger).
    """

    RATES = (6, 12, 18)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = ConvBN(width, width)
        self.atrous = nn.ModuleList(ConvBN(width, width, 3, dilation=rate) for rate in self.RATES)
        self.whole = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(inplace=True))
        self.project = ConvBN((2 + len(self.RATES)) * width, width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Map [B, C, H, W] to the same shape; pixels that are not ``valid`` [B, 1, H, W] are left out of the mean."""
        views = [self.near(x), *(conv(x) for conv in self.atrous), self.whole(valid_mean(x, valid)).expand_as(x)]
        return self.project(torch.cat(views, dim=1))


class Head(nn.Module):
    """Final prediction of one task.

    Args:
        name: "conv1", "bottleneck2", "aspp" (these read level 4) or "pyramid" (HRNet's head over all levels).
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
        self.aspp = Aspp(total) if name == "aspp" else None
        self.body = nn.Sequential(*body, predictor(total, channels))

    def forward(self, features: Mapping[int, Tensor], valid: Tensor | None = None) -> Tensor:
        """Map level -> [B, C_level, H/level, W/level] to [B, channels, H/4, W/4]; ``valid`` [B, 1, H/4, W/4] bool."""
        finest = features[self.levels[0]]
        resized = [resize(features[level], finest.shape[-2:]) for level in self.levels]
        joined = torch.cat(resized, dim=1) if len(resized) > 1 else finest
        return self.body(joined if self.aspp is None else self.aspp(joined, valid))
