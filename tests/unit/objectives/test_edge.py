"""odsF: what a boundary score must reward and must not."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.metrics.boundary import count_boundaries
from atrcnas.objectives.metrics.edge import EdgeMetric
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.tasks import TASKS

SIZE = (96, 128)
DIAGONAL = math.hypot(*SIZE)


def lines() -> Tensor:
    """[1, H, W] int64: a thin rectangle and a diagonal, away from the frame."""
    target = torch.zeros(1, *SIZE, dtype=torch.int64)
    target[0, 20, 20:90] = target[0, 70, 20:90] = 1
    target[0, 21:70, 20] = target[0, 21:70, 89] = 1
    index = torch.arange(30)
    target[0, 30 + index, 35 + index] = 1
    return target


def figures(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, max_dist: float = 0.0075
) -> dict[str, float]:
    metric = EdgeMetric(max_dist=max_dist)
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool) if valid is None else valid)
    return {name: float(value) for name, value in metric.compute().items()}


def blurred(target: Tensor, seed: int = 0) -> Tensor:
    """What a network gives: thick, uneven, noisy lines."""
    rng = np.random.default_rng(seed)
    sharp = target[0].numpy().astype(float)
    strength = gaussian_filter(rng.normal(size=SIZE), 8) * 40
    logits = -4 + 12 * gaussian_filter(sharp, 1.5) * (3 + strength) + gaussian_filter(rng.normal(size=SIZE), 1.5) * 2.5
    return torch.from_numpy(logits).float().sigmoid()[None]


def test_perfect_prediction_scores_one() -> None:
    assert figures(lines().float(), lines()) == {"ods_f": 1.0, "ois_f": 1.0, "ap": 1.0}


def region_borders() -> Tensor:
    """[1, H, W] int64: where a map of regions changes to the right or downward, staircases one pixel wide."""
    rng = np.random.default_rng(0)
    regions = np.argmax([gaussian_filter(rng.normal(size=SIZE), 8) for _ in range(4)], axis=0)
    border = np.zeros(SIZE, dtype=np.int64)
    border[:-1] |= regions[:-1] != regions[1:]
    border[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    return torch.from_numpy(border)[None]


@pytest.mark.parametrize(
    ("target", "as_it_is"),
    [
        pytest.param(lines(), 0.99, id="lines 1 pixel wide"),
        pytest.param(region_borders(), 0.90, id="region borders"),
        pytest.param(torch.nn.functional.max_pool2d(lines().float(), 3, 1, 1).long(), 0.46, id="3 pixels wide"),
    ],
)
def test_a_perfect_prediction_scores_one_unless_the_truth_is_not_thinned(target: Tensor, as_it_is: float) -> None:
    """Not thinned, as the published tools have it, the truth keeps pixels that no thinned prediction can match."""
    for thin_target, expected in ((True, 1.0), (False, as_it_is)):
        task = TASKS["edge"].with_options(options={"max_dist": 0.011, "thin_target": thin_target})
        metric = METRICS[task.metric].build(task)
        metric.update(target.float(), target, torch.ones_like(target, dtype=torch.bool))
        assert float(metric.compute()["ods_f"]) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_shift_costs_nothing_up_to_the_tolerance_and_all_beyond(shift: int) -> None:
    target = torch.zeros_like(lines())
    target[0, 20, 20:90] = target[0, 60, 20:90] = 1
    moved = torch.roll(target, shift, dims=1).float()
    assert figures(moved, target, max_dist=(shift + 0.01) / DIAGONAL)["ods_f"] == 1.0
    assert figures(moved, target, max_dist=(shift - 0.01) / DIAGONAL)["ods_f"] == 0.0


def test_duplicated_lines_gain_nothing() -> None:
    target = torch.zeros_like(lines())
    target[0, 20, 20:90] = 1
    doubled = target + torch.roll(target, 2, dims=1)
    single, double = figures(target.float(), target, max_dist=0.02), figures(doubled.float(), target, max_dist=0.02)
    assert single["ods_f"] == 1.0
    assert double["ods_f"] == pytest.approx(2 / 3)


def test_a_wide_line_counts_as_one() -> None:
    wide = torch.nn.functional.max_pool2d(lines().float(), 3, 1, 1)
    assert figures(wide, lines())["ods_f"] > 0.97


def test_pixels_that_are_not_valid_take_no_part() -> None:
    target, prediction = lines(), blurred(lines())
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[:, :, 60:] = False
    noise = torch.rand(prediction.shape, generator=torch.Generator().manual_seed(0))
    spoilt = torch.where(valid, prediction, noise)
    assert figures(prediction, target, valid) == figures(spoilt, torch.where(valid, target, 255), valid)
    assert figures(torch.where(valid, target, 0).float(), target, valid)["ods_f"] == 1.0


def test_score_depends_on_thresholds_not_on_their_distances() -> None:
    """Stretching probabilities between thresholds changes no map, so no figure."""
    prediction, target = blurred(lines()), lines()
    snapped = (torch.floor(prediction.double() * 100 + 1e-6) / 100 + 0.005).float()
    assert figures(prediction, target) == figures(snapped, target)


def test_figures_follow_from_the_counts_of_each_threshold() -> None:
    target, prediction = lines(), blurred(lines())
    counts = count_boundaries(prediction[0].numpy(), target[0].numpy() == 1, np.ones(SIZE, bool), 0.0075)
    assert (counts.matched <= counts.predicted).all()
    assert (counts.matched <= counts.true).all()
    precision, recall = counts.matched / np.maximum(counts.predicted, 1), counts.matched / counts.true
    expected = max(2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True) if p + r > 0)
    scored = figures(prediction, target)
    assert scored["ods_f"] == scored["ois_f"] == pytest.approx(expected)
    assert 0 < scored["ap"] < 1


def test_repeated_maps_are_counted_at_every_threshold() -> None:
    prediction = np.zeros(SIZE, np.float32)
    prediction[40, 10:60] = 0.305
    target = np.zeros(SIZE, bool)
    target[40, 10:60] = True
    counts = count_boundaries(prediction, target, np.ones(SIZE, bool), 0.0075)
    assert counts.matched.tolist() == [50] * 30 + [0] * 69
    assert counts.predicted.tolist() == counts.matched.tolist()


@pytest.mark.parametrize("percent", [1, 7, 30, 70, 99])
def test_a_probability_on_a_threshold_belongs_to_the_boundary(percent: int) -> None:
    prediction = np.zeros(SIZE, np.float32)
    prediction[40, 10:60] = percent / 100
    counts = count_boundaries(prediction, prediction > 0, np.ones(SIZE, bool), 0.0075)
    assert np.count_nonzero(counts.matched) == percent


def test_a_map_without_a_pixel_below_the_first_threshold_is_counted_from_there() -> None:
    prediction = np.full(SIZE, 0.205, np.float32)
    prediction[40, 10:60] = 0.905
    counts = count_boundaries(prediction, prediction > 0.5, np.ones(SIZE, bool), 0.0075)
    assert (counts.predicted[20:90] == 50).all()
    assert (counts.matched[20:90] == 50).all()
    assert (counts.predicted[90:] == 0).all()
    assert (counts.predicted[:20] == counts.predicted[0]).all()
    assert counts.predicted[0] != 50


def test_thresholds_without_predictions_do_not_lower_the_average_precision() -> None:
    assert figures(lines().float() * 0.305, lines())["ap"] == 1.0


def test_best_threshold_of_each_image_is_at_least_that_of_the_split() -> None:
    metric = EdgeMetric()
    target = lines()
    valid = torch.ones_like(target, dtype=torch.bool)
    metric.update(blurred(target, 1) * 0.4, target, valid)
    metric.update(blurred(target, 2), target, valid)
    scored = metric.compute()
    assert scored["ois_f"] > scored["ods_f"] > 0.5


def test_no_boundaries_at_all_give_zero_and_false_alarms_cost() -> None:
    target = torch.zeros_like(lines())
    assert figures(target.float(), target) == {"ods_f": 0.0, "ois_f": 0.0, "ap": 0.0}
    metric = EdgeMetric()
    valid = torch.ones_like(target, dtype=torch.bool)
    metric.update(lines().float(), lines(), valid)
    metric.update(lines().float(), target, valid)
    assert float(metric.compute()["ods_f"]) == pytest.approx(2 / 3)


def test_missing_numbers_are_not_a_boundary() -> None:
    prediction = lines().float()
    prediction[0, :10] = torch.nan
    assert figures(prediction, lines())["ods_f"] == 1.0


@pytest.mark.parametrize("max_dist", [0.0, 1.0, -1.0])
def test_tolerance_outside_its_range_is_refused(max_dist: float) -> None:
    with pytest.raises(ConfigError, match="max_dist"):
        TASKS["edge"].with_options(options={"max_dist": max_dist})


def test_one_image_takes_far_less_than_a_second() -> None:
    prediction, target = blurred(lines())[0].numpy(), lines()[0].numpy() == 1
    start = time.process_time()
    count_boundaries(prediction, target, np.ones(SIZE, bool), 0.0075)
    assert time.process_time() - start < 0.5
