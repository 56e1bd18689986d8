"""What searching and retraining share: the state, the step, validation, and what is written down.

learning rate <- poly(step)
losses <- objective(net(image, mixture), targets)
backward, average over processes, clip, optimiser step
every `log_every` steps: losses and schedules to metrics.csv
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrcnas.data.loading import Batch
from atrcnas.engine.finite import FiniteCheck
from atrcnas.engine.records import Table, metric_rows
from atrcnas.engine.scores import Scores
from atrcnas.engine.stopping import StopRequest
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet, Outputs
from atrcnas.nn.sync_norm import SyncBatchNorm
from atrcnas.objectives.objective import Objective
from atrcnas.objectives.processes import average, mean_over_processes, num_processes
from atrcnas.sampling.schedules import poly
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


class Training:
    """Training of the weights of one network.

    Args:
        fabric: devices and precision.
        net: searching or fixed, on its device.
        objective: total loss, on its device.
        tasks: records of the predicted tasks, by name.
        recipe: steps, optimiser and schedules.
        table: metrics.csv.
        seed: of everything drawn in a step (dropout); reseeded per step, so that a resumed run draws the same.
        sync_batchnorm: normalise by the statistics of all processes' batches.

    Attributes:
        step: steps completed.
        scores: task -> figures of the last validation.
        selection: their total, by which states are compared; higher is better.
    """

    def __init__(
        self,
        fabric: Fabric,
        net: MultiTaskNet,
        objective: Objective,
        tasks: Mapping[str, Task],
        recipe: TrainSpec,
        table: Table,
        seed: int,
        sync_batchnorm: bool = False,
    ) -> None:
        self.fabric, self.net, self.objective, self.tasks = fabric, net, objective, dict(tasks)
        self.recipe, self.table, self.seed = recipe, table, seed
        for refiner in net.refiners.values():
            refiner.recompute = recipe.activation_checkpointing  # type: ignore[assignment]
        self.sync_batchnorm = sync_batchnorm and num_processes() > 1
        self.weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(
            self.weights, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.finite = FiniteCheck(recipe.on_nonfinite)
        self.step, self.validated, self.best = 0, 0, float("-inf")
        self.scores: dict[str, dict[str, float]] = {}
        self.selection = self.last_loss = float("nan")
        self._buffers_before: list[Tensor] = []
        net.train()

    # The state.

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs: tensors and plain values."""
        return {
            "step": self.step,
            "validated": self.validated,
            "best": self.best,
            "rate_factor": self.finite.rate_factor,
            "net": self.net.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "tables": {table.path.name: table.size() for table in self.tables()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            KeyError, RuntimeError, ValueError: the state is of another training.
        """
        self.net.load_state_dict(state["net"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.validated, self.best = int(state["step"]), int(state["validated"]), float(state["best"])
        self.finite.rate_factor = float(state["rate_factor"])
        for table in self.tables():
            table.cut(int(state["tables"][table.path.name]))

    def tables(self) -> list[Table]:
        """The files that grow with the steps."""
        return [self.table]

    # A step.

    def train_step(self, batch: Any) -> None:
        """Take one step on a batch."""
        self.begin_step()
        loss, parts = self.losses(batch, None)
        if self.accepts(loss, parts, batch):
            self.step_weights(loss)
        self.end_step(loss, parts)

    def begin_step(self) -> None:
        """Reseed, and set the learning rate of this step."""
        torch.manual_seed((self.seed * 1_000_003 + self.step) * self.fabric.world_size + self.fabric.global_rank)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate
        if self.finite.may_refuse:
            self._buffers_before = [buffer.clone() for buffer in self.net.buffers()]

    def losses(self, batch: Batch, mixture: Mixture | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss of a batch and each task's part."""
        batch = batch.to(self.fabric.device)
        synced: AbstractContextManager[Any] = SyncBatchNorm() if self.sync_batchnorm else nullcontext()
        with self.fabric.autocast(), synced:
            outputs: Outputs = self.net(batch.image, batch.image_valid, mixture)
            return self.objective(  # type: ignore[no-any-return]
                outputs.predictions, outputs.labels, outputs.initial, batch.targets, batch.valid
            )

    def accepts(self, loss: Tensor, parts: Mapping[str, Tensor], batch: Batch) -> bool:
        """Whether to step on this loss; see :class:`FiniteCheck`. Of a step that is refused nothing is left."""
        if self.finite.accepts(self.step, loss, parts, batch.names):
            return True
        for buffer, before in zip(self.net.buffers(), self._buffers_before, strict=True):
            buffer.copy_(before)
        return False

    def step_weights(self, loss: Tensor) -> None:
        """Backward, average over processes, clip, and move the weights."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        average(weight.grad for weight in self.weights if weight.grad is not None)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()

    def end_step(self, loss: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Count the step; now and then write losses and schedules, and only then read them from the device.

        Rows of the CSV files carry the number of completed steps.
        """
        self.step += 1
        if self.step != 1 and self.step % self.recipe.log_every and self.step != self.recipe.steps:
            return
        self.finite.check()
        loss = mean_over_processes(loss.detach())
        self.last_loss = float(loss)
        values = {"loss": self.last_loss, **self.schedule_values()}
        rows = metric_rows(self.step, "train", "", values)
        for name, part in parts.items():
            rows += metric_rows(self.step, "train", name, {"loss": float(mean_over_processes(part))})
        self.table.append(rows)

    @property
    def learning_rate(self) -> float:
        """Polynomial decay; halved by each step that was refused under ``on_nonfinite: lower``."""
        recipe = self.recipe
        return poly(recipe.learning_rate, recipe.poly_power, self.step, recipe.steps) * self.finite.rate_factor

    def schedule_values(self) -> dict[str, float]:
        """What is logged beside the losses of the step just completed."""
        return {"learning_rate": self.optimizer.param_groups[0]["lr"]}

    def settle(self) -> None:
        """Bring the state into the form that is validated and saved: the same in every process, and of numbers.

        Raises:
            RunError: a loss or a weight is no number.
        """
        self.finite.check()
        average(self.net.buffers())
        self.finite.check_weights(self.net, self.step)

    # Validation.

    @property
    def validation_due(self) -> bool:
        """Whether this step is to be validated and has not been."""
        at_interval = self.step > 0 and self.step % self.recipe.validate_every == 0
        return (at_interval or self.step == self.recipe.steps) and self.validated < self.step

    def validation_mixture(self) -> Mixture | None:
        """The mixture to validate with; None for a fixed network."""
        return None

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch], stop: StopRequest) -> bool:
        """Score all tasks and write the scores.

        Returns:
            Whether ``selection``, the score by which checkpoints are compared, is the best so far.

        Raises:
            Stopped: on request; the validation will be begun again.
            RunError: the weights are no longer numbers.
        """
        self.settle()
        self.net.eval()
        collected = Scores(self.tasks, self.fabric.device)
        for batch in batches:
            if num_processes() == 1:
                stop.check(self.step)
            batch = batch.to(self.fabric.device)
            with self.fabric.autocast():
                outputs: Outputs = self.net(batch.image, batch.image_valid, self.validation_mixture())
            collected.update(outputs.predictions, batch)
        self.net.train()
        self.scores = collected.compute()
        self.selection = collected.selection(self.scores)
        rows = metric_rows(self.step, "val", "", {"selection": self.selection})
        for name, figures in self.scores.items():
            rows += metric_rows(self.step, "val", name, figures)
        self.table.append(rows)
        self.validated = self.step
        better = self.selection > self.best
        self.best = max(self.selection, self.best)
        return better
