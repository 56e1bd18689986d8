"""odsF, oisF and AP of boundary detection, without MATLAB."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrcnas.objectives.metrics.base import PixelMetric
from atrcnas.objectives.metrics.boundary import NUM_THRESHOLDS, count_boundaries
from atrcnas.spec.tasks import Task


class EdgeMetric(PixelMetric):
    """F of thinned, one-to-one matched boundaries at the best threshold of the split (ODS) and of each image (OIS).

    Args:
        max_dist: largest distance of a matched pair, as a share of the image diagonal; 0.011 for NYUD, otherwise 0.0075.
        thin_target: thin the true boundaries as the predicted ones are, so that a perfect prediction scores 1 however
            thick they are. False takes them as they are, as the tools behind published figures do (SEISM, BSDS500).
    """

    higher_is_better = True
    matched: Tensor
    predicted: Tensor
    true: Tensor
    best: Tensor

    def __init__(self, *, max_dist: float = 0.0075, thin_target: bool = True) -> None:
        super().__init__()
        self.max_dist = max_dist
        self.thin_target = thin_target
        self.add_sum("matched", NUM_THRESHOLDS)
        self.add_sum("predicted", NUM_THRESHOLDS)
        self.add_sum("true")
        # Matched, predicted and true pixels at each image's own best threshold.
        self.add_sum("best", 3)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Match the boundaries of each image, on the CPU.

        Args:
            prediction: [B, H, W] float probability of a boundary, in [0, 1]; dropped where not ``valid``.
            target: [B, H, W] int64, 1 = boundary; dropped where not ``valid``.
            valid: [B, H, W] bool.
        """
        self.check_shapes(prediction, target, valid)
        images = prediction.detach().float().cpu().numpy()
        for one in zip(images, (target == 1).cpu().numpy(), valid.cpu().numpy(), strict=True):
            counts = count_boundaries(*one, self.max_dist, self.thin_target)
            f_score = _f_score(counts.matched, counts.predicted, counts.true)
            # Among equals (in an image without boundaries), the threshold with the fewest predictions.
            index = int(np.lexsort((counts.predicted, -f_score))[0])
            best = [int(counts.matched[index]), int(counts.predicted[index]), counts.true]
            self.matched += torch.from_numpy(counts.matched).to(self.matched.device)
            self.predicted += torch.from_numpy(counts.predicted).to(self.predicted.device)
            self.true += counts.true
            self.best += self.best.new_tensor(best)

    def compute(self) -> dict[str, Tensor]:
        """``ods_f``, ``ois_f`` and ``ap``, each in [0, 1]; 0 without a true or predicted boundary."""
        matched, predicted = self.matched.cpu().numpy(), self.predicted.cpu().numpy()
        true, best = int(self.true), self.best.cpu().numpy()
        figures = {
            "ods_f": _f_score(matched, predicted, true).max(),
            "ois_f": _f_score(best[:1], best[1:2], int(best[2]))[0],
            "ap": _average_precision(matched, predicted, true),
        }
        return {name: self.matched.new_tensor(value, dtype=torch.float64) for name, value in figures.items()}


def _f_score(matched: np.ndarray, predicted: np.ndarray, true: int) -> np.ndarray:
    """2 P R / (P + R) with P = matched / predicted and R = matched / true; 0 where nothing is matched."""
    return np.asarray(2.0 * matched / np.maximum(predicted + true, 1))


def _average_precision(matched: np.ndarray, predicted: np.ndarray, true: int) -> float:
    """Area under the precision-recall curve, from recall 0 on at the precision of the lowest recall measured."""
    precision = matched / np.maximum(predicted, 1)
    recall = matched / max(true, 1)
    order = np.lexsort((-precision, recall))
    order = order[predicted[order] > 0]
    if not len(order):
        return 0.0
    recall, precision = np.concatenate([[0.0], recall[order]]), np.concatenate([precision[order][:1], precision[order]])
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def build(task: Task) -> EdgeMetric:
    """The metric for ``task``, with its ``metric_options`` as keyword arguments."""
    return EdgeMetric(**task.metric_options)
