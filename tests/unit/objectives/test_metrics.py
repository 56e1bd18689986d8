"""Every metric of the task table, as properties."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from atrcnas.spec.experiment import Experiment
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.tasks import TASKS


def build(example: Any) -> Metric:
    return METRICS[example.task.metric].build(example.task)


def score(example: Any) -> dict[str, Tensor]:
    """All figures."""
    metric = build(example)
    metric.update(example.decoded, example.target, example.valid)
    return metric.compute()


def perfect(example: Any) -> Tensor:
    """A decoded prediction that equals the ground truth."""
    task, target = example.task, example.target
    return target.float() if task.decode in ("foreground", "sigmoid") else target


def test_first_figure_is_the_score_of_the_task_and_has_its_direction(example: Any) -> None:
    figures = score(example)
    assert next(iter(figures)) == example.task.score
    assert build(example).higher_is_better == example.task.higher_is_better
    assert all(value.shape == () and torch.isfinite(value) for value in figures.values())


def test_invalid_pixels_have_no_influence_on_figures(example: Any) -> None:
    here, there = score(example), score(example.with_other_invalid_pixels())
    for name, value in here.items():
        assert torch.equal(value, there[name]), name


def test_a_batch_without_valid_pixels_changes_nothing(example: Any) -> None:
    metric, empty = build(example), replace(example, valid=torch.zeros_like(example.valid))
    metric.update(example.decoded, example.target, example.valid)
    before = copy.deepcopy(metric.metric_state)
    metric.update(empty.decoded, empty.target, empty.valid)
    for name, value in before.items():
        assert torch.equal(value, getattr(metric, name)), name


def test_no_valid_pixel_at_all_gives_figures_not_an_error(example: Any) -> None:
    empty = replace(example, valid=torch.zeros_like(example.valid))
    assert next(iter(score(empty))) == example.task.score


def test_a_perfect_prediction_has_the_best_score(example: Any) -> None:
    metric = build(example)
    metric.update(perfect(example), example.target, example.valid)
    best = 1.0 if example.task.higher_is_better else 0.0
    assert float(metric.compute()[example.task.score]) == pytest.approx(best, abs=1e-6)


def test_a_better_prediction_has_a_better_score(example: Any) -> None:
    mixed = build(example)
    half = torch.arange(example.valid.shape[-1]) < example.valid.shape[-1] // 2
    mixed.update(torch.where(half, perfect(example), example.decoded), example.target, example.valid)
    gain = float(mixed.compute()[example.task.score] - score(example)[example.task.score])
    assert gain > 0 if example.task.higher_is_better else gain < 0


def test_what_is_added_up_is_a_whole_number_or_of_double_precision(example: Any) -> None:
    assert {value.dtype for value in build(example).metric_state.values()} <= {torch.int64, torch.float64}


def test_two_metrics_merge_into_that_of_all_images(example: Any) -> None:
    """As torchmetrics merges those of several processes, by the reduction that each state names."""
    metrics = [build(example), build(example)]
    for metric, images in zip(metrics, (slice(0, 1), slice(1, None)), strict=True):
        metric.update(example.decoded[images], example.target[images], example.valid[images])
    metrics[0].merge_state(metrics[1])
    for name, value in score(example).items():
        torch.testing.assert_close(metrics[0].compute()[name], value, rtol=1e-12, atol=0)


def test_metric_survives_copying_and_reset(example: Any) -> None:
    metric = build(example)
    metric.update(example.decoded, example.target, example.valid)
    again = copy.deepcopy(metric)
    assert again.compute()[example.task.score] == metric.compute()[example.task.score]
    metric.reset()
    metric.update(example.decoded, example.target, example.valid)
    assert again.compute()[example.task.score] == metric.compute()[example.task.score]


def test_shapes_that_would_broadcast_are_refused(example: Any) -> None:
    with pytest.raises(ValueError, match="Expected argument `target` to have shape"):
        build(example).update(example.decoded, example.target[..., :1], example.valid)


def test_a_diverged_prediction_shows_in_the_score(another: Callable[..., Any]) -> None:
    for task in (task for task in TASKS if not task.higher_is_better):
        example = another(task)
        broken = replace(example, raw=torch.full_like(example.raw, torch.nan))
        assert torch.isnan(score(broken)[task.score])


def test_miou_counts_over_the_split_and_gives_an_unseen_class_zero() -> None:
    from atrcnas.objectives.metrics.segmentation import SegmentationMetric

    metric = SegmentationMetric(3, miou_over="all")
    valid = torch.ones(1, 1, 4, dtype=torch.bool)
    metric.update(torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[0, 0, 0, 1]]]), valid)
    metric.update(torch.tensor([[[1, 1, 1, 1]]]), torch.tensor([[[1, 1, 1, 1]]]), valid)
    figures = metric.compute()
    assert float(figures["miou"]) == pytest.approx((3 / 4 + 4 / 5 + 0) / 3)
    assert float(figures["pixel_accuracy"]) == pytest.approx(7 / 8)


def test_median_angle_is_within_its_bin() -> None:
    from atrcnas.objectives.metrics.normals import NormalsMetric

    angles = torch.tensor([3.0, 10.0, 12.37, 29.0, 80.0]).deg2rad()
    prediction = torch.stack([angles.sin(), torch.zeros(5), angles.cos()]).view(1, 3, 1, 5)
    target = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 5)
    metric = NormalsMetric()
    metric.update(prediction, target, torch.ones(1, 1, 5, dtype=torch.bool))
    figures = metric.compute()
    assert float(figures["median_error"]) == pytest.approx(12.37, abs=0.03)
    assert [float(figures[f"within_{limit}"]) for limit in (11, 22, 30)] == pytest.approx([0.4, 0.6, 0.8])


def test_depth_figures_of_a_small_case() -> None:
    from atrcnas.objectives.metrics.depth import DepthMetric

    metric = DepthMetric()
    metric.update(torch.tensor([[[[2.0, 3.0, 0.0]]]]), torch.tensor([[[[2.0, 2.0, 1.0]]]]), torch.ones(1, 1, 3) > 0)
    figures = metric.compute()
    assert float(figures["rmse"]) == pytest.approx((2 / 3) ** 0.5)
    assert float(figures["abs_rel"]) == pytest.approx(0.5)
    assert [float(figures[f"delta{power}"]) for power in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("step", [1, 19])
def test_saliency_thresholds_run_from_5_to_95_percent_both_included(step: int) -> None:
    """The foreground sits on one threshold, the background just below it: no other threshold tells them apart."""
    from atrcnas.objectives.metrics.saliency import SaliencyMetric

    target = torch.tensor([[[1, 1, 0, 0]]])
    prediction = torch.tensor([[[1.0, 1.0, 0.99, 0.99]]], dtype=torch.float64) * step * 0.05
    metric = SaliencyMetric()
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool))
    assert float(metric.compute()["max_f"]) == 1.0


def test_depth_limits_are_powers_of_1_25_and_on_a_limit_is_not_below_it() -> None:
    from atrcnas.objectives.metrics.depth import DepthMetric

    target = torch.full((1, 1, 1, 6), 2.0, dtype=torch.float64)
    prediction = target * torch.tensor([1.25, 1 / 1.2, 1.5, 1.6, 1.9, 2.0], dtype=torch.float64)
    metric = DepthMetric()
    metric.update(prediction, target, torch.ones(1, 1, 6) > 0)
    assert [float(metric.compute()[f"delta{power}"]) * 6 for power in (1, 2, 3)] == pytest.approx([1, 3, 5])


def test_normals_within_a_limit_are_strictly_below_it() -> None:
    from atrcnas.objectives.metrics.normals import LIMITS_DEG, NormalsMetric

    angles = torch.tensor([11.24, 11.26, 22.49, 22.51, 29.99, 30.01, 90.0], dtype=torch.float64).deg2rad()
    prediction = torch.stack([angles.sin(), torch.zeros(7), angles.cos()]).view(1, 3, 1, 7) * 3
    target = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 1, 7)
    metric = NormalsMetric()
    metric.update(prediction, target, torch.ones(1, 1, 7) > 0)
    figures = metric.compute()
    assert LIMITS_DEG == (11.25, 22.5, 30.0)
    assert [float(figures[f"within_{limit}"]) * 7 for limit in (11, 22, 30)] == pytest.approx([1, 3, 5])
    assert float(figures["mean_error"]) == pytest.approx(angles.rad2deg().mean().item())


def test_the_median_of_one_pixel_is_its_angle_and_of_opposite_vectors_nearly_180() -> None:
    from atrcnas.objectives.metrics.normals import NormalsMetric

    for prediction, expected in (([0.0, 1.0, 0.0], 90.0), ([0.0, 0.0, -1.0], 180.0), ([0.0, 0.0, 1.0], 0.0)):
        metric = NormalsMetric()
        vectors = [torch.tensor(vector).view(1, 3, 1, 1) for vector in (prediction, [0.0, 0.0, 1.0])]
        metric.update(*vectors, torch.ones(1, 1, 1) > 0)
        assert float(metric.compute()["median_error"]) == pytest.approx(expected, abs=0.0251)
    assert torch.isnan(NormalsMetric().compute()["median_error"])


def test_saliency_is_the_largest_f_beta_of_a_small_case() -> None:
    """Precision 1 at recall 1/2 beats precision 2/3 at recall 1: beta^2 is 0.3."""
    from atrcnas.objectives.metrics.saliency import SaliencyMetric

    metric = SaliencyMetric()
    target = torch.tensor([[[1, 1, 0, 0]]])
    metric.update(torch.tensor([[[0.9, 0.3, 0.32, 0.01]]]), target, torch.ones(1, 1, 4) > 0)
    at = {recall: 1.3 * precision * recall / (0.3 * precision + recall) for precision, recall in ((1, 0.5), (2 / 3, 1))}
    assert float(metric.compute()["max_f"]) == pytest.approx(max(at.values()))
    assert at[0.5] > at[1]


def test_a_single_pixel_counts_whole() -> None:
    from atrcnas.objectives.metrics.segmentation import SegmentationMetric

    metric = SegmentationMetric(1)
    one = torch.zeros(1, 1, 1, dtype=torch.int64)
    metric.update(one, one, one == 0)
    assert {name: float(value) for name, value in metric.compute().items()} == {"miou": 1.0, "pixel_accuracy": 1.0}


# Which classes mIoU is the mean of.


@pytest.mark.parametrize(
    ("miou_over", "expected"),
    # Truth holds 0 and 1 of four classes; 2 is predicted, 3 never. IoU: 4/6 of class 0, 2/4 of class 1.
    [("occurring", (4 / 6 + 2 / 4) / 2), ("all", (4 / 6 + 2 / 4) / 4)],
)
def test_miou_is_over_the_classes_that_occur_or_over_all(miou_over: str, expected: float) -> None:
    truth = torch.tensor([[[0, 0, 0, 0, 0], [1, 1, 1, 1, 9]]])
    guess = torch.tensor([[[0, 0, 0, 0, 2], [1, 1, 2, 0, 3]]])
    options = Experiment.load(
        {"tasks": ["semseg"], "task_options": {"semseg": {"miou_over": miou_over}}}
    ).resolved_tasks()["semseg"]
    metric = METRICS["segmentation"].build(replace(options, channels=4))
    metric.update(guess, truth, truth != 9)
    assert metric.compute()["miou"].item() == pytest.approx(expected)


def test_classes_that_occur_are_the_default_and_the_published_recipes_say_all() -> None:
    assert Experiment.load({"tasks": ["semseg"]}).resolved_tasks()["semseg"].metric_options == {
        "miou_over": "occurring"
    }
    for recipe in ("nyud-hrnet18", "pascal-hrnet48"):
        assert Experiment.load(recipe).resolved_tasks()["semseg"].metric_options == {"miou_over": "all"}
