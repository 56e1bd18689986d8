"""What searching and retraining share: the step, the schedules, validation, and what is written down.

for step, batch in loader:            one epoch of `steps` batches, so that step = batch index
    learning rate <- poly(step)
    losses <- objective(net(image, mixture), targets)
    backward, clip, optimiser step
    every `log_every` steps:          losses and schedules to metrics.csv
    every `validate_every` steps:     scores of all tasks to metrics.csv, checkpoint
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from atrcnas.data.loading import Batch
from atrcnas.engine.records import Table, metric_rows
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet, Outputs
from atrcnas.objectives.decode import DECODERS
from atrcnas.objectives.gain import selection_score
from atrcnas.objectives.metrics import METRICS
from atrcnas.objectives.objective import Objective
from atrcnas.sampling.schedules import poly
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import Task


class Training(pl.LightningModule):
    """Training of the weights of one network.

    Args:
        net: searching or fixed.
        objective: total loss.
        tasks: records of the predicted tasks, by name.
        recipe: steps, optimiser and schedules.
        table: metrics.csv.
        seed: of everything drawn in a step (dropout); reseeded per step, so that a resumed run draws the same.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        objective: Objective,
        tasks: Mapping[str, Task],
        recipe: TrainSpec,
        table: Table,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.objective, self.tasks = net, objective, dict(tasks)
        self.recipe, self.table, self.seed = recipe, table, seed
        self.metrics = torch.nn.ModuleDict(
            {f"{name}_": METRICS[task.metric].build(task) for name, task in tasks.items()}
        )
        self.scores: dict[str, dict[str, float]] = {}
        self.last_loss = float("nan")

    def configure_optimizers(self) -> Any:
        """SGD over the network's trainable weights."""
        return self._weight_optimizer()

    def _weight_optimizer(self) -> torch.optim.SGD:
        recipe, weights = self.recipe, [p for p in self.net.parameters() if p.requires_grad]
        return torch.optim.SGD(
            weights, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=False
        )

    def mixture(self, step: int) -> Mixture | None:
        """The mixture of a training step; None for a fixed network."""
        return None

    def validation_mixture(self) -> Mixture | None:
        """The mixture to validate with."""
        return None

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move every batch of a step without waiting."""
        if isinstance(batch, dict):
            return {name: part.to(device) for name, part in batch.items()}
        return batch.to(device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Reseed, and set the learning rate of this step."""
        torch.manual_seed(self.seed * 1_000_003 + batch_idx)
        if batch_idx + 1 == self.recipe.steps:
            self.trainer.should_stop = True  # the way to have the last step validated, whatever validate_every is
        for group in self._optimizers()[0].param_groups:
            group["lr"] = self.learning_rate_at(batch_idx)

    def learning_rate_at(self, step: int) -> float:
        """Polynomial decay."""
        return poly(self.recipe.learning_rate, self.recipe.poly_power, step, self.recipe.steps)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the weights."""
        loss, parts = self.losses(batch, self.mixture(batch_idx))
        self.step_weights(loss)
        self.log_step(batch_idx, loss, parts)

    def losses(self, batch: Batch, mixture: Mixture | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss of a batch and each task's part."""
        outputs: Outputs = self.net(batch.image, batch.image_valid, mixture)
        total, parts = self.objective(outputs.predictions, outputs.labels, outputs.initial, batch.targets, batch.valid)
        return total, parts

    def step_weights(self, loss: Tensor) -> None:
        """Backward, clip, and move the weights."""
        for optimizer in self._optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip)
        self._optimizers()[0].step()

    def _optimizers(self) -> list[Any]:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]

    def schedule_values(self, step: int) -> dict[str, float]:
        """What is logged beside the losses."""
        return {"learning_rate": self.learning_rate_at(step)}

    def log_step(self, step: int, loss: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Write losses and schedules now and then; only then are they read from the device.

        Rows of both CSV files carry the number of completed steps.
        """
        done = step + 1
        due = done == 1 or done % self.recipe.log_every == 0 or done == self.recipe.steps
        if not due or not self.trainer.is_global_zero:
            return
        self.last_loss = float(loss.detach())
        rows = metric_rows(done, "train", "", {"loss": self.last_loss, **self.schedule_values(step)})
        for name, part in parts.items():
            rows += metric_rows(done, "train", name, {"loss": float(part)})
        self.table.append(rows)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update every task's metric."""
        outputs: Outputs = self.net(batch.image, batch.image_valid, self.validation_mixture())
        for name, task in self.tasks.items():
            decoded = DECODERS[task.decode].function(outputs.predictions[name])
            self._update(name, decoded, batch)

    def _update(self, name: str, decoded: Tensor, batch: Batch) -> None:
        metric, target, valid = self.metrics[f"{name}_"], batch.targets[name], batch.valid[name]
        if len(set(batch.sizes)) == 1:
            metric.update(decoded, target, valid)
            return
        for i, (height, width) in enumerate(batch.sizes):  # a metric may depend on the image's own size
            one = slice(i, i + 1)
            cut = (one, ..., slice(height), slice(width))
            metric.update(decoded[cut], target[cut], valid[cut])

    def on_validation_epoch_end(self) -> None:
        """Compute, write and reset the scores; ``selection`` chooses the best checkpoint."""
        self.scores = {name: self._compute(self.metrics[f"{name}_"]) for name in self.tasks}
        first = {name: next(iter(figures.values())) for name, figures in self.scores.items()}
        selection = selection_score(first, self.tasks.values())
        self.log("selection", selection, prog_bar=False, logger=False, rank_zero_only=False)
        if not self.trainer.is_global_zero:
            return
        step = self.current_step
        rows = metric_rows(step, "val", "", {"selection": selection})
        for name, figures in self.scores.items():
            rows += metric_rows(step, "val", name, figures)
        self.table.append(rows)

    @property
    def current_step(self) -> int:
        """Steps completed."""
        return int(self.trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    @staticmethod
    def _compute(metric: Metric) -> dict[str, float]:
        figures = {key: float(value) for key, value in metric.compute().items()}
        metric.reset()
        return figures
