"""The scores of all predicted tasks over a data set, and the one figure they are reduced to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from atrcnas.data.batch import Batch
from atrcnas.ground.registry import resolve
from atrcnas.objectives.gain import selection_score
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.tasks import Task

Figures = dict[str, dict[str, float]]


class Scores:
    """Collects predictions batch by batch.

    Args:
        tasks: the predicted tasks, by name.
        device: of the predictions.
        alone: this process has seen every sample; otherwise the shares of all processes are combined.
    """

    def __init__(self, tasks: Mapping[str, Task], device: torch.device, alone: bool = False) -> None:
        self.tasks = dict(tasks)
        self._metrics: dict[str, Metric] = {
            name: METRICS[task.metric].build(task).to(device) for name, task in tasks.items()
        }
        if alone:
            for metric in self._metrics.values():
                metric.distributed_available_fn = lambda: False

    def update(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Add raw predictions [B, channels, H, W] of each task; return them decoded."""
        decoded = {
            name: resolve(DECODERS[task.decode].function)(predictions[name]) for name, task in self.tasks.items()
        }
        for name in self.tasks:
            self.add(name, decoded[name], batch)
        return decoded

    def add(self, name: str, decoded: Tensor, batch: Batch) -> None:
        """Add decoded predictions of one task, each image at its own size: a metric may depend on it."""
        metric, target, valid = self._metrics[name], batch.targets[name], batch.valid[name]
        if all(size == target.shape[-2:] for size in batch.sizes):
            metric.update(decoded, target, valid)
            return
        for i in range(len(batch.sizes)):
            cut = (slice(i, i + 1), ..., *batch.window(i))
            metric.update(decoded[cut], target[cut], valid[cut])

    def compute(self) -> Figures:
        """Task -> figure -> value, over all batches."""
        return {name: {k: float(v) for k, v in metric.compute().items()} for name, metric in self._metrics.items()}

    def confusions(self) -> dict[str, Tensor]:
        """Task -> [K, K] int64 pixels by true and predicted class, of the tasks whose metric counts them."""
        counted = {name: getattr(metric, "confusion", None) for name, metric in self._metrics.items()}
        return {name: confusion.cpu() for name, confusion in counted.items() if isinstance(confusion, Tensor)}

    def selection(self, figures: Figures) -> float:
        """The first figure of each task, combined into one; higher is better."""
        first = {name: next(iter(values.values())) for name, values in figures.items()}
        return selection_score(first, self.tasks.values())
