"""The differentiable search: weights and logits trained together, the choice written at every validation.

mixture <- sampler.draw(step, tau)
loss    <- objective(net(image, mixture)) + entropy_weight * entropy(logits)
single-level: one backward pass moves weights (SGD) and logits (Adam)
bi-level:     logits move on a held-out batch, then weights on a training batch
pairs whose best kind leads by commit_gap commit
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrcnas.data.loading import Batch, open_source, training_loader, validation_loader
from atrcnas.data.sample import Source
from atrcnas.engine.budget import Budget
from atrcnas.engine.devices import connect, place
from atrcnas.engine.label_states import label_states
from atrcnas.engine.loop import train
from atrcnas.engine.networks import context_config, supernet
from atrcnas.engine.profile import ProfileSteps
from atrcnas.engine.records import LOGIT_COLUMNS, METRIC_COLUMNS, Table, logit_rows
from atrcnas.engine.run_folder import RunFolder, commit
from atrcnas.engine.stopping import StopRequest
from atrcnas.engine.training import Training
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.objective import Objective
from atrcnas.objectives.processes import average
from atrcnas.sampling.sampler import Sampler
from atrcnas.sampling.schedules import linear
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment

# Steps between two looks at which pairs have committed; fixed, since it has an effect on rounding.
REFRESH_EVERY = 10


class SearchTraining(Training):
    """Training of weights and logits, with the arguments of :class:`Training` and these.

    Args:
        sampler: the logits.
        logits_table: logits.csv.
        budget: budget.csv.
        folder: where contexts.yaml goes.
        experiment: the recipe, and for provenance.
    """

    def __init__(
        self,
        *args: Any,
        sampler: Sampler,
        logits_table: Table,
        budget: Budget,
        folder: RunFolder,
        experiment: Experiment,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.budget = budget
        self.sampler, self.logits_table, self.folder, self.experiment = sampler, logits_table, folder, experiment
        self.search_recipe = experiment.search
        self.logits_optimizer = torch.optim.Adam([sampler.logits], experiment.search.logits_learning_rate)
        self.committed_share = 0.0

    def state(self) -> dict[str, Any]:
        """Weights, logits, both optimisers."""
        own = {"sampler": self.sampler.state_dict(), "logits_optimizer": self.logits_optimizer.state_dict()}
        return {**super().state(), **own}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        super().load(state)
        self.sampler.load_state_dict(state["sampler"])
        self.logits_optimizer.load_state_dict(state["logits_optimizer"])
        self.budget.go_on()

    def tables(self) -> list[Table]:
        """metrics.csv, logits.csv and budget.csv."""
        return [*super().tables(), self.logits_table, self.budget.table]

    @property
    def tau(self) -> float:
        """Temperature of this step."""
        return linear(self.search_recipe.tau, self.step, self.recipe.steps)

    @property
    def entropy_weight(self) -> float:
        """Weight of the entropy term in this step."""
        return linear(self.search_recipe.entropy_weight, self.step, self.recipe.steps)

    def train_step(self, batch: Batch | tuple[Batch, Batch]) -> None:
        """Take one step of weights and logits; of a pair of batches, the logits on the first."""
        self.begin_step()
        if isinstance(batch, Batch):
            loss, parts = self._joint_step(batch)
        else:
            loss, parts = self._bi_level_step(*batch)
        self.sampler.commit()
        if self.step % REFRESH_EVERY == 0:
            self.sampler.refresh()
        self.end_step(loss, parts)

    def _joint_step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = self.losses(batch, self.sampler.draw(self.step, self.tau))
        if self.accepts(loss, parts, batch):
            self.logits_optimizer.zero_grad()
            self.step_weights(self._with_entropy(loss))
            self._step_logits()
        return loss, parts

    def _bi_level_step(self, held_out: Batch, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = self.losses(held_out, self.sampler.draw(self.step, self.tau))
        if self.accepts(loss, parts, held_out):
            self.logits_optimizer.zero_grad()
            self._with_entropy(loss).backward(inputs=[self.sampler.logits])  # type: ignore[no-untyped-call]
            self._step_logits()
        loss, parts = self.losses(batch, self.sampler.draw(self.step, self.tau))
        if self.accepts(loss, parts, batch):
            self.step_weights(loss)
        return loss, parts

    def _step_logits(self) -> None:
        if self.sampler.logits.grad is not None:
            average([self.sampler.logits.grad])
        self.logits_optimizer.step()

    def _with_entropy(self, loss: Tensor) -> Tensor:
        return loss + self.entropy_weight * self.sampler.entropy()

    def schedule_values(self) -> dict[str, float]:
        """Schedules, mean entropy (nats) and share of committed pairs; also writes logits.csv."""
        self.committed_share = float(self.sampler.committed.float().mean())
        self.logits_table.append(logit_rows(self.step, self.sampler))
        done, total = self.step - 1, self.recipe.steps
        return {
            **super().schedule_values(),
            "tau": linear(self.search_recipe.tau, done, total),
            "entropy_weight": linear(self.search_recipe.entropy_weight, done, total),
            "entropy": float(self.sampler.entropy().detach()),
            "committed_share": self.committed_share,
        }

    def validation_mixture(self) -> Mixture:
        """The current choice."""
        return self.sampler.argmax_mixture()

    def validate(self, batches: Iterable[Batch], stop: StopRequest) -> bool:
        """Scores, and the current choice into contexts.yaml; the last state counts, not the best."""
        super().validate(batches, stop)
        self.budget.add(1, self.step, self.selection)
        if self.fabric.is_global_zero:
            self.contexts().save(self.folder.contexts)
        return False

    def contexts(self) -> ContextConfig:
        """The current choice with its probabilities."""
        table = self.sampler.probability_table()
        provenance = Provenance(
            experiment=self.experiment.name,
            seed=self.experiment.seed,
            step=self.step,
            commit=commit(),
            strategy=self.search_recipe.strategy,
            probabilities={
                str(pair): {kind: round(value, 4) for kind, value in row.items()} for pair, row in table.items()
            },
        )
        return context_config(self.experiment, self.sampler.chosen(), provenance)


def search(experiment: Experiment, run: str | Path, resume: bool = False, profile: bool = False) -> ContextConfig:
    """Search the context of every pair.

    Args:
        experiment: what to search on; its ``search`` section is the recipe.
        run: run folder; gets ``search/metrics.csv``, ``search/logits.csv``, checkpoints and ``contexts.yaml``.
        resume: go on from the last checkpoint of ``run``.
        profile: see where the time of a few steps goes; ``search/profile/`` gets a summary and a trace.

    Returns:
        The chosen context config.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    fabric = connect(experiment)
    folder, recipe = RunFolder(Path(run)), experiment.search
    with folder.locked(fabric.is_global_zero):
        source, held_back = open_source(experiment, "train"), open_source(experiment, "val")
        training = _training(experiment, folder, source, fabric)
        checkpoints = folder.begin(experiment, "search", resume, training)
        share = {"rank": fabric.global_rank, "world": fabric.world_size}
        batches = _batches(experiment, source, {"first": training.step, **share})
        if profile and fabric.is_global_zero:
            watch = ProfileSteps(folder.stage("search") / "profile", recipe.steps - training.step)
            batches = watch.watched(training, batches)
        validation = validation_loader(experiment, held_back, recipe.batch_size, **share)
        train(training, batches, validation, checkpoints, "search")
        contexts = training.contexts()
        if fabric.is_global_zero:
            contexts.save(folder.contexts)
        fabric.barrier()
        return contexts


def _training(experiment: Experiment, folder: RunFolder, source: Source, fabric: Fabric) -> SearchTraining:
    net, recipe, stage_dir = supernet(experiment), experiment.search, folder.stage("search")
    sampler = Sampler(
        net.candidates,
        seed=experiment.seed,
        commit_gap=recipe.commit_gap,
        estimator=recipe.estimator,
        noise=recipe.noise,
    )
    tasks = experiment.resolved_tasks()
    objective = Objective(tasks, label_states(experiment, source))
    for module in (net, sampler, objective):
        place(fabric, module, experiment.precision)
    return SearchTraining(
        fabric,
        net,
        objective,
        experiment.predicted_tasks(),
        recipe,
        Table(stage_dir / "metrics.csv", METRIC_COLUMNS, fabric.is_global_zero),
        experiment.seed,
        experiment.sync_batchnorm,
        sampler=sampler,
        logits_table=Table(stage_dir / "logits.csv", LOGIT_COLUMNS, fabric.is_global_zero),
        budget=Budget(stage_dir / "budget.csv", recipe.strategy, fabric.is_global_zero),
        folder=folder,
        experiment=experiment,
    )


def _batches(experiment: Experiment, source: Source, where: dict[str, int]) -> Iterable[Any]:
    """Batches of the steps that are left; pairs (for the logits, for the weights) where samples are held out.

    Raises:
        ConfigError: one of the two parts would be empty.
    """
    recipe = experiment.search
    order = np.random.default_rng((experiment.seed, len(source))).permutation(len(source)).tolist()
    num_held_out = round(recipe.held_out * len(source))
    if recipe.held_out == 0:
        return training_loader(experiment, source, order, recipe.batch_size, recipe.steps, **where)
    if not 0 < num_held_out < len(source):
        raise ConfigError(
            f"search.held_out: {recipe.held_out} of {len(source)} training samples are {num_held_out}; both the logits "
            "and the weights need some. Choose another share, or 0."
        )
    parts = (order[:num_held_out], order[num_held_out:])
    half = experiment.replace(data={"cache_mib": experiment.data.cache_mib // 2})  # two loaders share the bound
    loaders = (training_loader(half, source, part, recipe.batch_size, recipe.steps, **where) for part in parts)
    return zip(*loaders, strict=True)
