"""What a stage trains and how far it is: the weights, in a search the choice, the step, the scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrcnas.data.batch import Batch
from atrcnas.engine.choice import Choice
from atrcnas.engine.finite import FiniteCheck
from atrcnas.engine.losses import Losses
from atrcnas.engine.weights import Weights
from atrcnas.ground.registry import resolve
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import Encoded
from atrcnas.nn.shared_draws import Share
from atrcnas.nn.whole_batch import WholeBatch
from atrcnas.objectives.averaging import average, mean_over_processes, num_processes
from atrcnas.objectives.objective import Objective
from atrcnas.objectives.weighting.base import Weighting
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


@dataclass(frozen=True)
class Report:
    """What is logged about a step.

    Attributes:
        step: completed steps.
        totals: loss and schedules.
        tasks: task -> its loss, times the task's weight.
        factors: task -> what the loss weighting multiplies that by; empty where it is fixed.
    """

    step: int
    totals: Mapping[str, float]
    tasks: Mapping[str, float]
    factors: Mapping[str, float] = field(default_factory=dict)


def build_weighting(tasks: Mapping[str, Task], recipe: TrainSpec) -> Weighting:
    """The loss weighting of a recipe, for ``tasks`` with a loss."""
    made: Weighting = resolve(LOSS_WEIGHTINGS[recipe.loss_weighting].module)(
        tasks, recipe, recipe.checked_loss_weighting_options()
    )
    return made


class Training:
    """The state of a stage; step.py takes its steps, validation.py scores it, loop.py does both.

    Args:
        fabric: devices and precision.
        stage: "search" or "retrain".
        weights: network, optimiser, schedule.
        objective: total loss, on its device.
        tasks: records of the predicted tasks, by name.
        recipe: of the stage.
        seed: of everything drawn in a step (dropout); reseeded at each step, so that a resumed run draws the same, and
            alike in every process, see :class:`WholeBatch`.
        choice: sampler, its optimiser, commit rule; None where nothing is searched.
        sync_batchnorm: normalise by the statistics of all processes' batches.
        weighting: of the losses of the tasks, on its device; None: fixed.

    Attributes:
        step: steps completed.
        scores: task -> figures of the last validation.
        selection: their total, by which states are compared; higher is better.
        best: the largest ``selection`` so far.
    """

    def __init__(
        self,
        fabric: Fabric,
        stage: str,
        weights: Weights,
        objective: Objective,
        tasks: Mapping[str, Task],
        recipe: TrainSpec,
        seed: int,
        choice: Choice | None = None,
        sync_batchnorm: bool = False,
        weighting: Weighting | None = None,
    ) -> None:
        self.fabric, self.stage, self.weights, self.choice = fabric, stage, weights, choice
        self.objective, self.tasks, self.recipe, self.seed = objective, dict(tasks), recipe, seed
        self.weighting = weighting or Weighting(tasks, recipe, None)
        self.sync_batchnorm = sync_batchnorm
        self.finite = FiniteCheck(recipe.on_nonfinite)
        self.step, self.validated, self.best = 0, 0, float("-inf")
        self.scores: dict[str, dict[str, float]] = {}
        self.selection = float("nan")

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs: tensors and plain values."""
        return {
            "step": self.step,
            "validated": self.validated,
            "best": self.best,
            "rate_factor": self.finite.rate_factor,
            "objective": self.objective.state_dict(),
            "loss_weighting": self.weighting.state(),
            **self.weights.state(),
            **({} if self.choice is None else self.choice.state()),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state.

        Raises:
            KeyError, RuntimeError, ValueError: the state belongs to another training.
        """
        self.weights.load(state)
        if self.choice is not None:
            self.choice.load(state)
        self.objective.load_state_dict(state["objective"])
        if "loss_weighting" in state:  # not in checkpoints of earlier versions, which had fixed weights only
            self.weighting.load(state["loss_weighting"])
        self.step, self.validated, self.best = int(state["step"]), int(state["validated"]), float(state["best"])
        self.finite.rate_factor = float(state["rate_factor"])

    def begin_step(self) -> None:
        """Reseed, and set the learning rate of this step; remember what to restore if the step is refused."""
        self._reseed()
        self.weights.set_rates(self.step, self.finite.rate_factor)
        if self.finite.may_refuse:
            self._buffers = [buffer.clone() for buffer in self.weights.net.buffers()]
            self._choice = None if self.choice is None else copy.deepcopy(self.choice.state())

    def _reseed(self) -> None:
        torch.manual_seed(self.seed * 1_000_003 + self.step)

    def losses(self, batch: Batch, mixtures: Sequence[Mixture | None]) -> Losses:
        """The losses of a batch under each of ``mixtures``, which agree in ``copies``; None for a fixed network."""
        batch = batch.to(self.fabric.device)
        net, truth = self.weights.net, (batch.targets, batch.valid)
        with self.fabric.autocast(), self._whole_batch(len(batch.names)):
            encoded = net.encode(batch.image, batch.image_valid, mixtures[0])
            if len(mixtures) == 1:
                total, parts = self.objective(net.decode(encoded, mixtures[0]), encoded.labels, encoded.initial, *truth)
                return self._joined(total, encoded, [parts])
            # Computed once: what the draws share, and its losses.
            found = [self.objective(predictions, {}, {}, *truth) for predictions in net.decode_each(encoded, mixtures)]
            total = torch.stack([total for total, _ in found]).mean()
            if not encoded.labels and not encoded.initial:
                return self._joined(total, encoded, [parts for _, parts in found])
            common, shared = self.objective({}, encoded.labels, encoded.initial, *truth)
            return self._joined(total + common, encoded, [parts for _, parts in found], shared)

    def _joined(
        self,
        plain: Tensor,
        encoded: Encoded,
        parts: Sequence[Mapping[str, Tensor]],
        shared: Mapping[str, Tensor] | None = None,
    ) -> Losses:
        losses = Losses(plain, parts, shared or {}, encoded.maps if self.weighting.reads_maps else ())
        return replace(losses, total=self.weighting.total(losses.live(), plain))

    @torch.no_grad()
    def losses_again(self, batch: Batch, mixtures: Sequence[Mixture | None]) -> Losses:
        """The losses of the batch of this step with the weights as they are now; running statistics do not see it."""
        before = [buffer.clone() for buffer in self.weights.net.buffers()]
        self._reseed()
        losses = self.losses(batch, mixtures)
        self._put_back(before)
        return losses

    def _put_back(self, buffers: Sequence[Tensor]) -> None:
        for buffer, before in zip(self.weights.net.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def _whole_batch(self, images: int) -> AbstractContextManager[Any]:
        if num_processes() == 1:
            return nullcontext()
        return WholeBatch(Share(images, self.fabric.global_rank, self.fabric.world_size), self.sync_batchnorm)

    def accepts(self, losses: Losses, batch: Batch) -> bool:
        """Whether to move by these losses; see :class:`FiniteCheck`. A refused step is undone completely."""
        if self.finite.accepts(self.step, losses.total, losses.by_task(), batch.names):
            return True
        with torch.no_grad():
            self._put_back(self._buffers)
        if self.choice is not None and self._choice is not None:
            self.choice.load(self._choice)
        return False

    @property
    def log_due(self) -> bool:
        """Whether the step just completed is to be logged."""
        return self.step in (1, self.recipe.steps) or self.step % self.recipe.log_every == 0

    def report(self, losses: Losses) -> Report:
        """What is logged about the step just completed; reads it from the device.

        Raises:
            RunError: a loss since the last report is not finite.
        """
        self.finite.check()
        totals = {"loss": float(mean_over_processes(losses.total.detach())), **self.weights.schedule_values()}
        if self.choice is not None:
            totals |= self.choice.schedule_values(self.step - 1)
        tasks = {name: float(mean_over_processes(part)) for name, part in losses.by_task().items()}
        factors = {name: float(factor) for name, factor in self.weighting.report().items()}
        return Report(self.step, totals, tasks, factors)

    @property
    def validation_due(self) -> bool:
        """Whether this step is to be validated and has not been."""
        at_interval = self.step > 0 and self.step % self.recipe.validate_every == 0
        return (at_interval or self.step == self.recipe.steps) and self.validated < self.step

    def settle(self) -> None:
        """Bring the state into the form that is validated and saved: equal in every process, and finite.

        Raises:
            RunError: a loss or a weight is not finite.
        """
        self.finite.check()
        for net in {id(net): net for net in (self.weights.net, self.weights.evaluated)}.values():
            average(net.buffers())
            self.finite.check_weights(net, self.step)
