"""The metrics the task table refers to by name; each module is imported when its metric is first built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atrcnas.ground.registry import Registry, resolve

if TYPE_CHECKING:
    from torchmetrics import Metric

    from atrcnas.spec.tasks import Task


@dataclass(frozen=True)
class MetricEntry:
    """One metric.

    Attributes:
        name: the word used in the task table.
        factory: ``task -> torchmetrics.Metric``, or its ``"module:function"`` string. The metric has
            ``update(prediction, target, valid)`` for decoded predictions, and ``compute()`` that returns
            figure -> 0-dim tensor, the task's ``score`` first.
    """

    name: str
    factory: str | Callable[[Task], Metric]

    def build(self, task: Task) -> Metric:
        """A fresh metric for ``task``."""
        metric: Metric = resolve(self.factory)(task)
        return metric


METRICS: Registry[MetricEntry] = Registry("metric")

METRICS.register(MetricEntry("segmentation", "atrcnas.objectives.metrics.segmentation:build"))
METRICS.register(MetricEntry("depth", "atrcnas.objectives.metrics.depth:build"))
METRICS.register(MetricEntry("normals", "atrcnas.objectives.metrics.normals:build"))
METRICS.register(MetricEntry("saliency", "atrcnas.objectives.metrics.saliency:build"))
METRICS.register(MetricEntry("edge", "atrcnas.objectives.metrics.edge:build"))
