"""Figures over several tasks: the multi-task gain, and the score that picks the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.tasks import Task


def multi_task_gain(scores: Mapping[str, float], reference: Mapping[str, float], tasks: Iterable[Task]) -> float:
    """Delta_m: mean relative improvement over a reference, usually the single-task networks.

    Args:
        scores: task name -> score of the multi-task network, in the score's unit.
        reference: task name -> score of the reference, same unit.
        tasks: the tasks averaged over.

    Returns:
        Percent; positive means better than the reference, whatever the direction of each score. NaN where a score is
        NaN or a reference is 0.

    Raises:
        ConfigError: no tasks, or a task has no score or no reference.

    Source: Vandenhende et al. 2020 (MTI-Net), section 4.1.
    """
    improvements = [
        _relative_improvement(_score(scores, task, "scores"), _score(reference, task, "reference"), task)
        for task in tasks
    ]
    return 100.0 * _mean(improvements)


def selection_score(scores: Mapping[str, float], tasks: Iterable[Task]) -> float:
    """One figure over all tasks by which the best checkpoint is chosen; higher is better.

    Args:
        scores: task name -> score, in the score's unit.
        tasks: the tasks averaged over.

    Returns:
        Mean over tasks of the score, or of 1 / (1 + score / ``task.score_scale``) where lower is better. A score
        that is not a number, or an infinite error, contributes 0, the worst.

    Raises:
        ConfigError: no tasks, or a task has no score.
    """
    return _mean([_goodness(_score(scores, task, "scores"), task) for task in tasks])


def _relative_improvement(score: float, reference: float, task: Task) -> float:
    if reference == 0.0:
        return math.nan
    return (score - reference) / reference * (1.0 if task.higher_is_better else -1.0)


def _goodness(score: float, task: Task) -> float:
    if math.isnan(score):
        return 0.0
    return score if task.higher_is_better else 1.0 / (1.0 + score / task.score_scale)


def _score(scores: Mapping[str, float], task: Task, argument: str) -> float:
    if task.name not in scores:
        raise ConfigError(f"{argument}: no score for task '{task.name}'. Known: {', '.join(scores) or 'none'}.")
    return float(scores[task.name])


def _mean(values: list[float]) -> float:
    if not values:
        raise ConfigError("expected at least one task to average over, got none.")
    return sum(values) / len(values)
