"""The boundary benchmark for one image: matched, predicted and true boundary pixels at 99 thresholds.

NumPy and SciPy only, so that a worker process starts without torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrcnas.ground.thinning import level_bits, thin_levels
from atrcnas.objectives.metrics.matching import Int64s, matching_sizes

NUM_THRESHOLDS = 99


@dataclass(frozen=True)
class BoundaryCounts:
    """Counts of one image.

    Attributes:
        matched: [99] int64, pairs of a maximum one-to-one matching at the thresholds 0.01, 0.02 .. 0.99.
        predicted: [99] int64, predicted boundary pixels.
        true: number of true boundary pixels.
    """

    matched: Int64s
    predicted: Int64s
    true: int


def count_boundaries(
    probability: npt.NDArray[np.floating],
    target: npt.NDArray[np.bool_],
    valid: npt.NDArray[np.bool_],
    max_dist: float,
    thin_target: bool = True,
) -> BoundaryCounts:
    """Compare a boundary probability map with true boundaries.

    Args:
        probability: [H, W] float in [0, 1]; read only where ``valid``.
        target: [H, W] bool, True on boundaries; read only where ``valid``.
        valid: [H, W] bool.
        max_dist: largest distance of a matched pair, as a share of the image diagonal.
        thin_target: thin the true boundaries as the predicted ones are.

    Returns:
        Counts of the pixels that are valid.

    Source: Martin, Fowlkes and Malik 2004, and the BSDS benchmark after it: cut, thin, match one to one.
    Differs: a maximum matching, where the benchmark's assignment is an approximation. Its later versions do not thin
    the truth; of region borders drawn on one side a perfect prediction then scores 0.9, of 3-pixel lines 0.46.
    """
    # Threshold k/100 is reached by rank >= k; comparing keeps k/100 itself on the boundary's side, NaN below all.
    thresholds = np.arange(1, NUM_THRESHOLDS + 1) / (NUM_THRESHOLDS + 1)
    cleared = np.where(valid & ~np.isnan(probability), probability, -1.0)
    rank = np.searchsorted(thresholds.astype(probability.dtype), cleared, side="right")
    # Thresholds between which no pixel lies give the same map: thin and match it once.
    occupied, level_of_pixel = np.unique(rank, return_inverse=True)
    level_of_pixel = level_of_pixel.reshape(rank.shape) + (occupied[0] > 0)
    level_of_threshold = np.searchsorted(occupied[occupied > 0], np.arange(1, NUM_THRESHOLDS + 1))
    num_levels = int(np.count_nonzero(occupied))
    truth = _lines(target & valid) if thin_target else target & valid
    matched, predicted = _count_levels(level_of_pixel, num_levels, truth, max_dist)
    return BoundaryCounts(matched[level_of_threshold], predicted[level_of_threshold], int(np.count_nonzero(truth)))


def _count_levels(
    level_of_pixel: Int64s, num_levels: int, truth: npt.NDArray[np.bool_], max_dist: float
) -> tuple[Int64s, Int64s]:
    """Matched and predicted pixels per level, and last of the empty map, for thresholds above all probabilities."""
    matched = np.zeros(num_levels + 1, np.int64)
    predicted = np.zeros(num_levels + 1, np.int64)
    if num_levels:
        words = thin_levels(level_of_pixel, num_levels).reshape(-1, truth.size)
        pixels = np.flatnonzero(words.any(axis=0))
        member = level_bits(words[:, pixels], num_levels)
        height, width = truth.shape
        distance = max_dist * math.hypot(height, width)
        predicted[:-1] = member.sum(axis=1)
        matched[:-1] = matching_sizes(member, pixels, np.flatnonzero(truth), (height, width), distance)
    return matched, predicted


def _lines(boundary: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """[H, W] bool thinned to lines one pixel wide."""
    lines: npt.NDArray[np.bool_] = thin_levels(boundary.astype(np.int64), 1)[0] > 0
    return lines
