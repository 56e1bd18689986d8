"""Angles between predicted and true surface normals over all valid pixels of a split."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.objectives.metrics.base import PixelMetric
from atrcnas.spec.tasks import Task

LIMITS_DEG = (11.25, 22.5, 30.0)
BINS_PER_DEG = 20
NUM_BINS = 180 * BINS_PER_DEG


class NormalsMetric(PixelMetric):
    """Mean and median angular error in degrees, and shares of pixels with an error below 11.25, 22.5 and 30 degrees."""

    higher_is_better = False
    angle_deg: Tensor
    within: Tensor
    histogram: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_sum("angle_deg", dtype=torch.float64)
        self.add_sum("within", len(LIMITS_DEG))
        self.add_sum("histogram", NUM_BINS)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add the angles of a batch.

        Args:
            prediction: [B, 3, H, W] float unit vectors.
            target: [B, 3, H, W] float unit vectors; read only where ``valid``.
            valid: [B, H, W] bool.
        """
        self.check_shapes(prediction, target, valid, channels=3)
        angle_deg = torch.where(valid, _angles_deg(prediction, target), 0)
        limits = angle_deg.new_tensor(LIMITS_DEG).view(-1, 1, 1, 1)
        # A NaN angle goes to the last bin: no index may leave the histogram. The mean still shows it.
        bins = (angle_deg.nan_to_num(180.0) * BINS_PER_DEG).long().clamp(max=NUM_BINS - 1)
        bins = torch.where(valid, bins, NUM_BINS)
        self.angle_deg += angle_deg.sum()
        self.within += ((angle_deg < limits) & valid).sum(dim=(1, 2, 3))
        self.histogram += torch.bincount(bins.flatten(), minlength=NUM_BINS + 1)[:NUM_BINS]

    def compute(self) -> dict[str, Tensor]:
        """``mean_error`` and ``median_error`` (to 0.03) in degrees, ``within_*`` in [0, 1]; NaN if none is valid."""
        num_pixels = self.histogram.sum().double()
        within = self.within / num_pixels
        return {
            "mean_error": self.angle_deg / num_pixels,
            "median_error": self._median_deg(num_pixels),
            "within_11": within[0],
            "within_22": within[1],
            "within_30": within[2],
        }

    def _median_deg(self, num_pixels: Tensor) -> Tensor:
        below = self.histogram.cumsum(dim=0)
        middle = torch.searchsorted(below.double(), num_pixels / 2)
        return torch.where(num_pixels > 0, (middle + 0.5) / BINS_PER_DEG, torch.nan)


def _angles_deg(first: Tensor, second: Tensor) -> Tensor:
    """[B, 3, H, W] vectors -> [B, H, W] float64 in [0, 180]; unlike arccos this keeps small angles exact."""
    a, b = F.normalize(first.double(), dim=1), F.normalize(second.double(), dim=1)
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1)))


def build(task: Task) -> NormalsMetric:
    """The metric for ``task``."""
    return NormalsMetric()
