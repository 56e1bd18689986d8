"""`dwa`: more for the tasks whose loss falls slowly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from atrcnas.objectives.weighting.base import Adaptive, Losses
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


class Dwa(Adaptive):
    """Factors ``T softmax(r / temperature)`` of T tasks, with r the loss relative to that of the interval before.

    Losses are means over intervals of ``every`` steps; in the first two, all factors are 1.

    Source: Liu et al., CVPR 2019 (dynamic weight average), equation 7. Differs: intervals of steps instead of epochs.
    """

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__(tasks, recipe, options)
        self.every = options.every or max(recipe.steps // 20, 1)
        for name in ("sums", "counts", "last"):
            self.register_buffer(name, torch.zeros(len(tasks)))
        self.sums: Tensor
        self.counts: Tensor
        self.last: Tensor

    @torch.no_grad()
    def after_step(self, step: int, losses: Losses, again: Callable[[], Losses]) -> None:
        """Add up the losses; at the end of an interval, set the factors."""
        values = self.values(losses)
        self.sums += values
        self.counts += values > 0
        if (step + 1) % self.every:
            return
        mean = self.sums / self.counts.clamp(min=1)
        known = (mean > 0) & (self.last > 0)
        rate = torch.where(known, mean / self.last.where(known, 1.0), 1.0)
        self.factors.copy_(len(self.tasks) * torch.softmax(rate / self.options.temperature, 0))
        self.last.copy_(torch.where(mean > 0, mean, self.last))
        self.sums.zero_()
        self.counts.zero_()
