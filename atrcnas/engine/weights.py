"""The weights of a stage: the network, its optimiser, learning rate schedule and moving average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from atrcnas.engine.optimizing import parameter_groups
from atrcnas.ground.registry import resolve
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.recipe import TrainSpec


class Weights:
    """What every stage trains.

    Args:
        net: searching or fixed, on its device.
        recipe: optimiser, schedule, decay, moving average.

    Attributes:
        parameters: those that are trained.
        optimizer: of ``parameters``.
        average: the exponential moving average of ``net``; None without ``ema``.
    """

    def __init__(self, net: MultiTaskNet, recipe: TrainSpec) -> None:
        self.net, self.recipe = net, recipe
        for refiner in net.refiners.values():
            refiner.recompute = recipe.activation_checkpointing
        self.parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        build, rate = OPTIMIZERS[recipe.optimizer].build, SCHEDULES[recipe.schedule].rate
        self.optimizer = resolve(build)(parameter_groups(net, recipe), recipe, recipe.checked_optimizer_options())
        self._rate, self._rate_options = resolve(rate), recipe.checked_schedule_options()
        self.average: AveragedModel | None = None
        if recipe.ema is not None:
            average = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(net, multi_avg_fn=average, use_buffers=True)
        net.train()

    @property
    def evaluated(self) -> MultiTaskNet:
        """The network that is validated, scored and kept: the moving average if there is one."""
        return self.net if self.average is None else self.average.module  # type: ignore[return-value]

    def set_rates(self, step: int, factor: float = 1.0) -> None:
        """Set the learning rate of every group for ``step`` (0, 1, ...): warm-up, then the schedule, times ``factor``."""
        recipe = self.recipe
        if step < recipe.warm_up:
            factor *= (step + 1) / recipe.warm_up
        else:
            share = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
            factor *= self._rate(share, recipe, self._rate_options)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    def after_step(self) -> None:
        """Let the moving average follow a step that was taken."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def schedule_values(self) -> dict[str, float]:
        """The learning rate of the new layers in the step just taken."""
        return {"learning_rate": max(group["lr"] for group in self.optimizer.param_groups)}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        averaged = {} if self.average is None else {"average": self.average.state_dict()}
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), **averaged}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
