"""Mean intersection over union of a whole split: one confusion matrix, not a mean over images."""

from __future__ import annotations

import torch
from torch import Tensor

from atrcnas.objectives.metrics.base import PixelMetric
from atrcnas.spec.tasks import Task


class SegmentationMetric(PixelMetric):
    """mIoU and pixel accuracy.

    Args:
        num_classes: K.
    """

    higher_is_better = True
    confusion: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_sum("confusion", num_classes, num_classes)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Count class pairs.

        Args:
            prediction: [B, H, W] int64 in [0, K).
            target: [B, H, W] int64 in [0, K); read only where ``valid``.
            valid: [B, H, W] bool.
        """
        self.check_shapes(prediction, target, valid)
        num_pairs = self.num_classes**2
        # Pixels without ground truth are counted in one more cell, dropped right after: no data-dependent shape.
        cell = torch.where(valid, target * self.num_classes + prediction, num_pairs)
        counts = torch.bincount(cell.flatten(), minlength=num_pairs + 1)[:num_pairs]
        self.confusion += counts.view(self.num_classes, self.num_classes)

    def compute(self) -> dict[str, Tensor]:
        """``miou`` in [0, 1], over all K classes, 0 for an absent class; ``pixel_accuracy`` in [0, 1]."""
        confusion = self.confusion.double()
        hit = confusion.diagonal()
        union = confusion.sum(dim=0) + confusion.sum(dim=1) - hit
        return {
            "miou": (hit / union.clamp(min=1)).mean(),
            "pixel_accuracy": hit.sum() / confusion.sum().clamp(min=1),
        }


def build(task: Task) -> SegmentationMetric:
    """The metric for ``task``; its class count must be known."""
    return SegmentationMetric(task.num_channels)
