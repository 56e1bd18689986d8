"""The training loss of a whole network: every task's final, label and initial predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from atrcnas.ground.registry import resolve
from atrcnas.nn.blocks import resize
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.tasks import Task

Truth = Mapping[str, Tensor]


class Objective(nn.Module):
    """Sum over tasks of weight * (final loss + label losses + initial losses).

    Args:
        tasks: records of all tasks, auxiliary ones included, by name.
        label_states: task -> what its label encoder was fitted to; see :func:`fit_label_states`.

    Source: Bruggemann et al. 2021 (final and label losses); Vandenhende et al. 2020 (deep supervision).
    """

    def __init__(self, tasks: Mapping[str, Task], label_states: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        for name, state in (label_states or {}).items():
            self.register_buffer(f"labels_{name}", state)

    def forward(
        self,
        predictions: Truth,
        labels: Mapping[tuple[str, int], Tensor],
        initial: Mapping[tuple[str, int], Tensor],
        targets: Truth,
        valid: Truth,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            predictions: task -> [B, C, H, W] raw final output.
            labels: (task, level) -> [B, K, h, w] label logits.
            initial: (task, level) -> [B, C, h, w] raw initial predictions.
            targets: task -> ground truth at [H, W].
            valid: task -> [B, H, W] bool.

        Returns:
            The total, and each task's weighted part.
        """
        parts: dict[str, Tensor] = {}
        for name, task in self.tasks.items():
            size = valid[name].shape[-2:]
            losses = [self._final(task, predictions[name], targets[name], valid[name])] if name in predictions else []
            losses += [
                self._final(task, resize(raw, size), targets[name], valid[name])
                for (owner, _), raw in initial.items()
                if owner == name
            ]
            losses += [
                self._label(task, resize(logits, size), targets[name], valid[name])
                for (owner, _), logits in labels.items()
                if owner == name
            ]
            if losses:
                parts[name] = task.weight * torch.stack(losses).sum()
        total = torch.stack(list(parts.values())).sum()
        return total, parts

    def _final(self, task: Task, raw: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return _apply(task.loss, task, raw, target, valid)

    def _label(self, task: Task, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        state = getattr(self, f"labels_{task.name}", None)
        encoded = resolve(LABEL_ENCODERS[task.label_encoder].encode)(target, valid, task.num_labels, state)
        return _apply(task.label_loss, task, logits, encoded, valid)


def fit_label_states(tasks: Mapping[str, Task], batches: Iterable[tuple[Truth, Truth]], seed: int) -> dict[str, Tensor]:
    """Fit the label encoders that depend on data (k-means of the normals).

    Args:
        tasks: by name.
        batches: (targets, valid) of some training batches.
        seed: of the fit.
    """
    states: dict[str, Tensor] = {}
    fitted = {name: task for name, task in tasks.items() if LABEL_ENCODERS[task.label_encoder].fit is not None}
    kept = list(batches) if fitted else []
    for name, task in fitted.items():
        fit = resolve(LABEL_ENCODERS[task.label_encoder].fit)
        states[name] = fit(((targets[name], valid[name]) for targets, valid in kept), task.num_labels, seed)
    return states


def _apply(name: str, task: Task, raw: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    loss = LOSSES[name]
    value: Tensor = resolve(loss.function)(raw, target, valid, **loss.own(task.loss_options))
    return value
