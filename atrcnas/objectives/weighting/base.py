"""What every loss weighting is, and `fixed`, which changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atrcnas.objectives.averaging import mean_over_processes
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task

Losses = Mapping[str, Tensor]


class Weighting(nn.Module):
    """`fixed`, and the base of all others: factors of the tasks' losses, which already have the weights of the tasks.

    In a step, :meth:`total` says what the weights descend, :meth:`before_step` sees the losses while they can still be
    differentiated, and :meth:`after_step` may change the factors. Factors are no part of any gradient. All that
    happens must follow from what these methods get, equally in every process.

    Args:
        tasks: records of all tasks with a loss, by name.
        recipe: of the stage.
        options: those of this weighting.

    Attributes:
        reads_maps: whether :meth:`before_step` needs the maps that all tasks share.
        optimizer: of the parameters, where a weighting learns some.
    """

    reads_maps = False
    optimizer: torch.optim.Optimizer | None = None

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__()
        self.tasks, self.recipe, self.options = dict(tasks), recipe, options

    def total(self, losses: Losses, plain: Tensor) -> Tensor:
        """What the weights descend.

        Args:
            losses: task -> its loss, a scalar with gradient; a task may be missing.
            plain: their sum.
        """
        return plain

    def before_step(self, losses: Losses, maps: Sequence[Tensor]) -> None:
        """Before the backward pass.

        Args:
            losses: as in :meth:`total`.
            maps: of the backbone, with gradient; empty unless ``reads_maps``.
        """

    def after_step(self, step: int, losses: Losses, again: Callable[[], Losses]) -> None:
        """After the weights have moved.

        Args:
            step: 0, 1, ...
            losses: those that were descended, without gradient.
            again: computes them once more, for the same batch and the weights as they are now.
        """

    def report(self) -> dict[str, Tensor]:
        """Task -> its factor, for the log."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        learnt = {} if self.optimizer is None else {"optimizer": self.optimizer.state_dict()}
        return {"tensors": self.state_dict(), **learnt}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.load_state_dict(state["tensors"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])


class Adaptive(Weighting):
    """Base of those that change the factors.

    A task whose loss is 0 in a batch of all processes, since nothing there is labelled for it, is left out of that step.
    """

    def __init__(self, tasks: Mapping[str, Task], recipe: TrainSpec, options: Any) -> None:
        super().__init__(tasks, recipe, options)
        self.register_buffer("factors", torch.ones(len(self.tasks)))
        self.factors: Tensor

    def total(self, losses: Losses, plain: Tensor) -> Tensor:
        """The sum of factor times loss."""
        factors = self.factors_for(self.values(losses))
        weighed = [factor * losses[task] for task, factor in zip(self.tasks, factors, strict=True) if task in losses]
        return torch.stack(weighed).sum()

    def factors_for(self, values: Tensor) -> Tensor:
        """[T] the factors at losses ``values`` [T]."""
        return self.factors

    def values(self, losses: Losses) -> Tensor:
        """[T] the losses in the order of the tasks, mean over the processes, without gradient; 0 where there is none."""
        zero = torch.zeros_like(self.factors[0])
        found = [losses[task].detach().to(zero) if task in losses else zero for task in self.tasks]
        return mean_over_processes(torch.stack(found))

    def report(self) -> dict[str, Tensor]:
        """Task -> its factor."""
        return dict(zip(self.tasks, self.factors.unbind(), strict=True))
