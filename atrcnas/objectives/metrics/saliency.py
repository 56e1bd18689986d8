"""Maximum F-beta of a foreground probability over fixed thresholds, counted over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor

from atrcnas.objectives.metrics.base import PixelMetric
from atrcnas.spec.tasks import Task

BETA_SQUARED = 0.3
NUM_THRESHOLDS = 19
THRESHOLD_STEP = 0.05


class SaliencyMetric(PixelMetric):
    """max F-beta with beta^2 = 0.3 over the thresholds 0.05, 0.10 .. 0.95."""

    higher_is_better = True
    hits: Tensor
    predicted: Tensor
    positives: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_sum("hits", NUM_THRESHOLDS)
        self.add_sum("predicted", NUM_THRESHOLDS)
        self.add_sum("positives")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Count hits at every threshold; a pixel is foreground from the threshold on.

        Args:
            prediction: [B, H, W] float probability of the foreground, in [0, 1].
            target: [B, H, W] int64, 1 = foreground; read only where ``valid``.
            valid: [B, H, W] bool.
        """
        self.check_shapes(prediction, target, valid)
        positive = (target == 1) & valid
        for index in range(NUM_THRESHOLDS):
            selected = (prediction >= (index + 1) * THRESHOLD_STEP) & valid
            self.hits[index] += (selected & positive).sum()
            self.predicted[index] += selected.sum()
        self.positives += positive.sum()

    def compute(self) -> dict[str, Tensor]:
        """``max_f`` in [0, 1]; 0 without a foreground pixel."""
        # (1 + b) P R / (b P + R) with P = hits / predicted and R = hits / positives, multiplied out.
        weighted = BETA_SQUARED * self.positives.double() + self.predicted
        f_score = (1 + BETA_SQUARED) * self.hits.double() / weighted.clamp(min=torch.finfo(torch.float64).tiny)
        return {"max_f": f_score.max()}


def build(task: Task) -> SaliencyMetric:
    """The metric for ``task``."""
    return SaliencyMetric()
