"""`gradnorm`: gradients of like size at what the tasks share, larger for tasks that are slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.averaging import mean_over_processes
from atrcnas.objectives.weighting.base import Adaptive, Losses
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task

LEAST = 1e-3  # of a factor, relative to the mean of 1


class Gradnorm(Adaptive):
    """The factors w descend ``sum_t |G_t - mean(G) r_t^alpha|``, G_t the norm of the gradient of ``w_t L_t``.

    r is the loss relative to the first one, in units of its mean over the tasks; targets are constants, and the factors are
    scaled to a mean of 1 after each step. Each step costs a backward pass through the decoder for each task.

    Source: Chen et al., ICML 2018, algorithm 1. Differs: gradients with respect to the maps of the backbone, which
    every backbone has, in place of the weights of the last shared layer; factors stay above 0.001.
    """

    reads_maps = True
    optimizer: torch.optim.Optimizer

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__(tasks, recipe, options)
        self.register_buffer("first", torch.zeros(len(tasks)))
        self.first: Tensor
        self.factors = torch.nn.Parameter(torch.ones(len(tasks)), requires_grad=False)
        self.optimizer = torch.optim.Adam([self.factors], options.learning_rate)
        self._norms = torch.zeros(0)

    def before_step(self, losses: Losses, maps: Sequence[Tensor]) -> None:
        """Measure the gradient of each task."""
        trained = [x for x in maps if x.requires_grad]
        if not trained:
            raise ConfigError(
                "loss_weighting: gradnorm compares gradients of the backbone, and nothing of it is trained."
            )
        squares = [self._square(losses.get(task), trained) for task in self.tasks]
        # Each process has the gradient of its own share of the batch; a common factor of all norms changes nothing.
        self._norms = mean_over_processes(torch.stack(squares)).sqrt()

    def _square(self, loss: Tensor | None, maps: Sequence[Tensor]) -> Tensor:
        if loss is None or not loss.requires_grad:
            return torch.zeros_like(self.factors[0])
        gradients = torch.autograd.grad(loss, maps, retain_graph=True, allow_unused=True)
        found = [gradient.to(self.factors).square().sum() for gradient in gradients if gradient is not None]
        return torch.stack(found).sum() if found else torch.zeros_like(self.factors[0])

    @torch.no_grad()
    def after_step(self, step: int, losses: Losses, again: Callable[[], Losses]) -> None:
        """Move the factors."""
        values = self.values(losses)
        self.first.copy_(torch.where((self.first == 0) & (values > 0), values, self.first))
        there = values > 0
        count = there.sum().clamp(min=1)
        share = torch.where(there, values / self.first.where(there, 1.0), 0.0)
        rate = share / (share.sum() / count).clamp(min=1e-12)
        norms = torch.where(there, self.factors * self._norms, 0.0)
        target = norms.sum() / count * rate**self.options.alpha
        self.factors.grad = torch.where(there, torch.sign(norms - target) * self._norms, 0.0)
        self.optimizer.step()
        self.factors.clamp_(min=LEAST)
        self.factors.mul_(len(self.tasks) / self.factors.sum())
