"""Figures over several tasks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.gain import multi_task_gain, selection_score
from atrcnas.spec.tasks import TASKS

UP = next(task for task in TASKS if task.higher_is_better)
DOWN = next(task for task in TASKS if not task.higher_is_better)
PAIR = [UP, DOWN]


def scores(up: float, down: float) -> dict[str, float]:
    return {UP.name: up, DOWN.name: down}


def test_gain_is_the_mean_relative_improvement_in_percent() -> None:
    gain = multi_task_gain(scores(0.44, 0.45), scores(0.40, 0.50), PAIR)
    assert gain == pytest.approx((10.0 + 10.0) / 2)


def test_a_lower_error_and_a_higher_score_both_count_as_gain() -> None:
    reference = scores(0.4, 0.5)
    assert multi_task_gain(scores(0.4, 0.4), reference, PAIR) > 0
    assert multi_task_gain(scores(0.5, 0.5), reference, PAIR) > 0
    assert multi_task_gain(reference, reference, PAIR) == 0


def test_gain_over_a_zero_reference_is_not_a_number() -> None:
    assert math.isnan(multi_task_gain(scores(0.4, 0.5), scores(0.0, 0.5), PAIR))


def test_a_missing_task_is_named() -> None:
    with pytest.raises(ConfigError, match=f"reference: no score for task '{DOWN.name}'"):
        multi_task_gain(scores(0.4, 0.5), {UP.name: 0.4}, PAIR)
    with pytest.raises(ConfigError, match="at least one task"):
        selection_score({}, [])


def test_selection_score_rises_when_any_task_improves() -> None:
    base = selection_score(scores(0.4, 0.5), PAIR)
    assert selection_score(scores(0.5, 0.5), PAIR) > base
    assert selection_score(scores(0.4, 0.4), PAIR) > base
    assert selection_score({DOWN.name: DOWN.score_scale}, [DOWN]) == 0.5
    assert selection_score({DOWN.name: 0.0}, [DOWN]) == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_task_counts_as_the_worst(bad: float) -> None:
    assert selection_score(scores(0.4, bad), PAIR) == pytest.approx(0.2)
    assert selection_score(scores(math.nan, bad), PAIR) == 0.0


def test_gain_of_one_task_is_its_relative_improvement() -> None:
    assert multi_task_gain({UP.name: 0.5}, {UP.name: 0.4}, [UP]) == pytest.approx(25.0)
    assert multi_task_gain({DOWN.name: 0.5}, {DOWN.name: 0.4}, [DOWN]) == pytest.approx(-25.0)


def test_an_error_of_the_tasks_own_scale_counts_half() -> None:
    assert selection_score({DOWN.name: 4.0}, [replace(DOWN, score_scale=4.0)]) == 0.5
