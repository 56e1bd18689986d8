"""`uncertainty`: each loss is divided by a learnt variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from atrcnas.objectives.weighting.base import Adaptive, Losses
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


class Uncertainty(Adaptive):
    """Weights and log-variances s descend ``sum_t c_t exp(-s_t) L_t + s_t / 2``, c = 1 for classes and 1/2 for real numbers.

    Source: Kendall et al., CVPR 2018, section 3.2 and equation 10. Differs: an optimiser of its own for s, Adam without
    decay; the losses of label maps belong to their task, and get its factor.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__(tasks, recipe, options)
        scale = [1.0 if task.target == "classes" else 0.5 for task in tasks.values()]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.scale: Tensor
        self.factors.copy_(self.scale)
        self.log_variance = nn.Parameter(torch.zeros(len(tasks)))
        self.optimizer = torch.optim.Adam([self.log_variance], options.learning_rate)

    @torch.no_grad()
    def after_step(self, step: int, losses: Losses, again: Callable[[], Losses]) -> None:
        """Move the log-variances."""
        values = self.values(losses)
        self.log_variance.grad = torch.where(values > 0, 0.5 - self.factors * values, 0.0)
        self.optimizer.step()
        self.factors.copy_(self.scale * torch.exp(-self.log_variance))
