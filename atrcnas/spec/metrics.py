"""The table of metrics: where each one is built, and its options. A new metric is one file and one registration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from atrcnas.ground.registry import Registry, resolve
from atrcnas.spec.schema import Bool, Float, Spec

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True)
class MetricEntry:
    """One metric.

    Attributes:
        name: the word used in the task table.
        factory: ``task -> torchmetrics.Metric``, or its ``"module:function"`` string. The metric has
            ``update(prediction, target, valid)`` for decoded predictions, and ``compute()`` that returns
            figure -> 0-dim tensor, the task's ``score`` first. One of classes may have ``confusion``, [K, K] int64
            pixels by true and predicted class: a run then reports each class, and draws it.
        options: model of what ``task.metric_options`` holds, with ranges and descriptions.
    """

    name: str
    factory: Any
    options: type[Spec] = Spec

    def build(self, task: Any) -> Metric:
        """A fresh metric for ``task``."""
        metric: Metric = resolve(self.factory)(task)
        return metric


class ClassMean(Spec):
    """Of the segmentation metric."""

    miou_over: Literal["occurring", "all"] = Field(
        default="occurring",
        description="classes that mIoU is the mean of: those in the scored ground truth; or, as in published figures, all, "
        "with 0 for one that is not there",
    )


class BoundaryMatching(Spec):
    """Of the boundary metric."""

    max_dist: Float = Field(
        default=0.0075, gt=0, lt=1, description="largest distance of matched boundaries, share of the image diagonal"
    )
    thin_target: Bool = Field(default=True, description="thin true boundaries; false as for published figures")


_HOME = "atrcnas.objectives.metrics"

METRICS: Registry[MetricEntry] = Registry("metric")
METRICS.register(MetricEntry("segmentation", f"{_HOME}.segmentation:build", ClassMean))
METRICS.register(MetricEntry("depth", f"{_HOME}.depth:build"))
METRICS.register(MetricEntry("normals", f"{_HOME}.normals:build"))
METRICS.register(MetricEntry("saliency", f"{_HOME}.saliency:build"))
METRICS.register(MetricEntry("edge", f"{_HOME}.edge:build", BoundaryMatching))
