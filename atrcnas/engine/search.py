"""The differentiable search: weights and logits trained together, the choice written at every validation.

mixture <- sampler.draw(step, tau)
loss    <- objective(net(image, mixture)) + entropy_weight * entropy(logits)
single-level: one backward pass moves weights (SGD) and logits (Adam)
bi-level:     logits move on a held-out batch, then weights on a training batch
pairs whose best kind leads by commit_gap commit
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor

from atrcnas.data.loading import Source, open_source, training_loader, validation_loader
from atrcnas.engine.label_states import label_states
from atrcnas.engine.networks import supernet
from atrcnas.engine.records import LOGIT_COLUMNS, METRIC_COLUMNS, Table, logit_rows
from atrcnas.engine.run_folder import RunFolder, commit
from atrcnas.engine.trainer import fit, make_trainer, resume_point
from atrcnas.engine.training import Training
from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.objective import Objective
from atrcnas.sampling.sampler import Sampler
from atrcnas.sampling.schedules import linear
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.recipe import SearchSpec

# Steps between two looks at which pairs have committed; fixed, since it has an effect on rounding.
REFRESH_EVERY = 10


class SearchTraining(Training):
    """Training of weights and logits, with the arguments of :class:`Training` and these.

    Args:
        sampler: the logits.
        logits_table: logits.csv.
        folder: where contexts.yaml goes.
        experiment: for provenance.
    """

    def __init__(
        self, *args: Any, sampler: Sampler, logits_table: Table, folder: RunFolder, experiment: Experiment
    ) -> None:
        super().__init__(*args)
        self.sampler, self.logits_table, self.folder, self.experiment = sampler, logits_table, folder, experiment
        self.committed_share = 0.0

    @property
    def search_recipe(self) -> SearchSpec:
        """The recipe, with the search's own settings."""
        return self.experiment.search

    def configure_optimizers(self) -> Any:
        """SGD over the weights, Adam without decay over the logits."""
        logits = torch.optim.Adam([self.sampler.logits], self.search_recipe.logits_learning_rate)
        return [self._weight_optimizer(), logits]

    def mixture(self, step: int) -> Mixture:
        """Drawn anew in each step."""
        return self.sampler.draw(step, self.tau_at(step))

    def validation_mixture(self) -> Mixture:
        """The current choice."""
        return self.sampler.argmax_mixture()

    def tau_at(self, step: int) -> float:
        """Temperature."""
        return linear(self.search_recipe.tau, step, self.recipe.steps)

    def entropy_weight_at(self, step: int) -> float:
        """Weight of the entropy term."""
        return linear(self.search_recipe.entropy_weight, step, self.recipe.steps)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One step of weights and logits."""
        mixture = self.mixture(batch_idx)
        if isinstance(batch, dict):
            self.step_logits(self._with_entropy(self.losses(batch["logits"], mixture)[0], batch_idx))
            mixture = self.mixture(batch_idx)
            loss, parts = self.losses(batch["weights"], mixture)
            self.step_weights(loss)
        else:
            loss, parts = self.losses(batch, mixture)
            self.step_weights(self._with_entropy(loss, batch_idx))
            self._optimizers()[1].step()
        self.sampler.commit()
        if batch_idx % REFRESH_EVERY == 0:
            self.sampler.refresh()
        self.log_step(batch_idx, loss.detach(), parts)

    def step_logits(self, loss: Tensor) -> None:
        """Move the logits alone."""
        optimizer = self._optimizers()[1]
        optimizer.zero_grad()
        self.manual_backward(loss, inputs=[self.sampler.logits])
        optimizer.step()

    def _with_entropy(self, loss: Tensor, step: int) -> Tensor:
        return loss + self.entropy_weight_at(step) * self.sampler.entropy()

    def schedule_values(self, step: int) -> dict[str, float]:
        """Schedules, mean entropy (nats) and share of committed pairs."""
        self.committed_share = float(self.sampler.committed.float().mean())
        self.logits_table.append(logit_rows(step + 1, self.sampler))
        return {
            **super().schedule_values(step),
            "tau": self.tau_at(step),
            "entropy_weight": self.entropy_weight_at(step),
            "entropy": float(self.sampler.entropy().detach()),
            "committed_share": self.committed_share,
        }

    def on_validation_epoch_end(self) -> None:
        """Scores, and the current choice into contexts.yaml."""
        super().on_validation_epoch_end()
        if self.trainer.is_global_zero:
            self.contexts(self.current_step).save(self.folder.contexts)

    def contexts(self, step: int) -> ContextConfig:
        """The current choice with its probabilities."""
        table = self.sampler.probability_table()
        provenance = Provenance(
            experiment=self.experiment.name,
            seed=self.experiment.seed,
            step=step,
            commit=commit(),
            probabilities={
                str(pair): {kind: round(value, 4) for kind, value in row.items()} for pair, row in table.items()
            },
        )
        model = self.experiment.model.model_dump(exclude_defaults=True)
        return ContextConfig.from_kinds(self.sampler.chosen(), model, provenance)


def search(experiment: Experiment, run: str | Path, resume: bool = False) -> ContextConfig:
    """Search the context of every pair.

    Args:
        experiment: what to search on; its ``search`` section is the recipe.
        run: run folder; gets ``search/metrics.csv``, ``search/logits.csv``, checkpoints and ``contexts.yaml``.
        resume: go on from the last checkpoint of ``run``.

    Returns:
        The chosen context config.

    Raises:
        AtrcnasError: see the message.
    """
    folder, recipe = RunFolder(Path(run)), experiment.search
    with folder.locked():
        source, held_back = open_source(experiment, "train"), open_source(experiment, "val")
        folder.begin(experiment, "search", resume)
        stage_dir = folder.stage("search")
        checkpoint, first = resume_point(stage_dir, resume)
        pl.seed_everything(experiment.seed, verbose=False)
        training = _training(experiment, folder, source, first)
        trainer = make_trainer(experiment, recipe, stage_dir, "search")
        share = {"rank": trainer.global_rank, "world": trainer.world_size}
        loader = _search_loader(experiment, source, first, share)
        fit(trainer, training, loader, validation_loader(experiment, held_back, recipe.batch_size, **share), checkpoint)
        contexts = training.contexts(recipe.steps)
        if trainer.is_global_zero:
            contexts.save(folder.contexts)
        return contexts


def _training(experiment: Experiment, folder: RunFolder, source: Source, first: int) -> SearchTraining:
    net, recipe, stage_dir = supernet(experiment), experiment.search, folder.stage("search")
    sampler = Sampler(
        net.candidates,
        seed=experiment.seed,
        commit_gap=recipe.commit_gap,
        estimator=recipe.estimator,
        noise=recipe.noise,
    )
    tasks = experiment.resolved_tasks()
    return SearchTraining(
        net,
        Objective(tasks, label_states(experiment, source)),
        {name: tasks[name] for name in experiment.tasks},
        recipe,
        Table(stage_dir / "metrics.csv", METRIC_COLUMNS, first),
        experiment.seed,
        sampler=sampler,
        logits_table=Table(stage_dir / "logits.csv", LOGIT_COLUMNS, first),
        folder=folder,
        experiment=experiment,
    )


def _search_loader(experiment: Experiment, source: Source, first: int, share: dict[str, int]) -> Any:
    recipe = experiment.search
    order = np.random.default_rng((experiment.seed, len(source))).permutation(len(source)).tolist()
    num_held_out = round(recipe.held_out * len(source))
    if num_held_out == 0:
        return training_loader(experiment, source, order, recipe.batch_size, recipe.steps, first=first, **share)
    parts = {"logits": order[:num_held_out], "weights": order[num_held_out:]}
    loaders = {
        name: training_loader(experiment, source, part, recipe.batch_size, recipe.steps, first=first, **share)
        for name, part in parts.items()
    }
    return CombinedLoader(loaders, mode="min_size")
