"""`famo`: all losses fall at the same relative rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from atrcnas.objectives.weighting.base import Adaptive, Losses
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


class Famo(Adaptive):
    """Factors ``c z_t / L_t`` with ``z = softmax(xi)`` and c such that ``c sum_t z_t / L_t = 1``.

    After a step the losses of its batch are computed again, at the cost of one more forward pass, and the logits xi move
    so that the tasks whose logarithm of the loss fell most get less.

    Source: Liu et al., NeurIPS 2023, algorithm 1. Differs: Adam with decay for xi, as in the published code.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__(tasks, recipe, options)
        self.logits = nn.Parameter(torch.zeros(len(tasks)))
        self.optimizer = torch.optim.Adam([self.logits], options.learning_rate, weight_decay=options.decay)

    @torch.no_grad()
    def factors_for(self, values: Tensor) -> Tensor:
        """``c z / L`` over the tasks that have a loss in this batch."""
        there = values > 0
        weights = torch.where(there, self._shares(there) / values.where(there, 1.0), 0.0)
        return weights / weights.sum().clamp(min=1e-12)

    @torch.no_grad()
    def after_step(self, step: int, losses: Losses, again: Callable[[], Losses]) -> None:
        """Move the logits by how much the logarithm of each loss has fallen."""
        before, after = self.values(losses), self.values(again())
        self.factors.copy_(self.factors_for(before))  # for the log
        there = (before > 0) & (after > 0)
        fallen = torch.where(there, before.where(there, 1.0).log() - after.where(there, 1.0).log(), 0.0)
        shares = self._shares(there)
        self.logits.grad = shares * (fallen - (shares * fallen).sum())
        self.optimizer.step()

    def _shares(self, there: Tensor) -> Tensor:
        """[T] softmax of the logits over the tasks that are there, 0 for the others."""
        shares = torch.where(there, self.logits.softmax(0), 0.0)
        return shares / shares.sum().clamp(min=1e-12)
