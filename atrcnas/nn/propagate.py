"""MTI-Net's feature propagation: what all tasks know at one scale, handed on to the next finer one.

Source: Vandenhende et al., ECCV 2020, section 3.3 and figure 4; widths as in its public code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from atrcnas.nn.blocks import basic_block

SQUEEZE = 16


class SqueezeExcite(nn.Module):
    """Channel gate from the mean over pixels (Hu et al., CVPR 2018), reduction 16."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(width, max(width // SQUEEZE, 1)),
            nn.ReLU(),
            nn.Linear(max(width // SQUEEZE, 1), width),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of [B, C, H, W]."""
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]


class Propagate(nn.Module):
    """Per-task features that carry a shared representation.

    Args:
        tasks: N tasks, in order.
        width: C, channels of each task's features.
    """

    def __init__(self, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        self.tasks, self.width = tuple(tasks), width
        total = len(self.tasks) * width
        middle = max(total // 4, 1)
        self.mask = nn.Sequential(basic_block(total, middle), basic_block(middle, middle), nn.Conv2d(middle, total, 1))
        self.reduce = basic_block(total, width)
        self.excite = nn.ModuleDict({task: SqueezeExcite(width) for task in self.tasks})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map task -> [B, C, H, W] to the same shapes."""
        joined = torch.cat([features[task] for task in self.tasks], dim=1)
        batch, _, height, width = joined.shape
        # The published code normalises over groups of N neighbouring channels, not over the N tasks' equal channels.
        mask = self.mask(joined).reshape(batch, self.width, len(self.tasks), height, width).softmax(dim=2)
        shared = self.reduce(joined * mask.reshape(joined.shape))
        return {task: self.excite[task](shared) + features[task] for task in self.tasks}
