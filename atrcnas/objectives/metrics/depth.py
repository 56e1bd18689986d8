"""Depth error over all valid pixels of a split."""

from __future__ import annotations

import torch
from torch import Tensor

from atrcnas.objectives.metrics.base import PixelMetric
from atrcnas.spec.tasks import Task

DELTA_BASE = 1.25
NEAREST_M = 1e-6


class DepthMetric(PixelMetric):
    """RMSE (metres), mean relative error, and shares of pixels within a factor 1.25, 1.25^2, 1.25^3."""

    higher_is_better = False
    squared: Tensor
    relative: Tensor
    within: Tensor
    num_pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_sum("squared", dtype=torch.float64)
        self.add_sum("relative", dtype=torch.float64)
        self.add_sum("within", 3)
        self.add_sum("num_pixels")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add the errors of a batch.

        Args:
            prediction: [B, 1, H, W] float >= 0, metres.
            target: [B, 1, H, W] float > 0, metres; read only where ``valid``.
            valid: [B, H, W] bool.
        """
        self.check_shapes(prediction, target, valid, channels=1)
        mask = valid.unsqueeze(1)
        predicted = torch.where(mask, prediction.double(), 1)
        true = torch.where(mask, target.double(), 1)
        error = predicted - true
        floor_m = true.clamp(min=NEAREST_M)
        ratio = torch.maximum(predicted / floor_m, floor_m / predicted.clamp(min=NEAREST_M))
        limits = DELTA_BASE ** torch.arange(1, 4, dtype=torch.float64, device=ratio.device)
        self.squared += error.square().sum()
        self.relative += (error.abs() / floor_m).sum()
        self.within += ((ratio < limits.view(3, 1, 1, 1, 1)) & mask).sum(dim=(1, 2, 3, 4))
        self.num_pixels += valid.sum()

    def compute(self) -> dict[str, Tensor]:
        """``rmse`` in metres, ``abs_rel`` >= 0, ``delta1`` .. ``delta3`` in [0, 1]; NaN without a valid pixel."""
        within = self.within / self.num_pixels.double()
        return {
            "rmse": (self.squared / self.num_pixels).sqrt(),
            "abs_rel": self.relative / self.num_pixels,
            "delta1": within[0],
            "delta2": within[1],
            "delta3": within[2],
        }


def build(task: Task) -> DepthMetric:
    """The metric for ``task``."""
    return DepthMetric()
