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
        miou_over: the classes that mIoU is the mean of: ``occurring`` in the ground truth, or ``all``.
    """

    higher_is_better = True
    confusion: Tensor

    def __init__(self, num_classes: int, *, miou_over: str = "occurring") -> None:
        super().__init__()
        self.num_classes, self.miou_over = num_classes, miou_over
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
        """``miou`` in [0, 1], 0 without a labelled pixel; ``pixel_accuracy`` in [0, 1].

        Over ``all``, a class that neither occurs nor is predicted counts as 0.
        """
        confusion = self.confusion.double()
        counted = (confusion.sum(dim=1) > 0) | (self.miou_over == "all")
        return {
            "miou": (class_ious(confusion) * counted).sum() / counted.sum().clamp(min=1),
            "pixel_accuracy": confusion.diagonal().sum() / confusion.sum().clamp(min=1),
        }


def class_ious(confusion: Tensor) -> Tensor:
    """[K, K] pixels by true and predicted class -> [K] float64 in [0, 1], 0 for a class that is in neither."""
    confusion = confusion.double()
    hit = confusion.diagonal()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - hit
    return hit / union.clamp(min=1)


def build(task: Task) -> SegmentationMetric:
    """The metric for ``task``; its class count must be known."""
    return SegmentationMetric(task.num_channels, **task.metric_options)
