"""The differentiable search: weights and logits trained together (step.py), the choice written at every validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from atrcnas.costs.expected import CostTerm
from atrcnas.costs.pressure import Pressure
from atrcnas.data.loading import training_loader
from atrcnas.engine.branch_choice import BranchChoice
from atrcnas.engine.branch_search import branch_training
from atrcnas.engine.choice import Choice
from atrcnas.engine.cost_table import limits_of, table_of
from atrcnas.engine.devices import connect
from atrcnas.engine.labels_check import require_labels
from atrcnas.engine.listener import Listener
from atrcnas.engine.networks import searched_config, supernet
from atrcnas.engine.recording import BranchRecorder, ChoiceRecorder
from atrcnas.engine.search_training import assemble
from atrcnas.engine.splits import Splits, open_splits
from atrcnas.engine.stage import begin, run_stage
from atrcnas.engine.training import Training
from atrcnas.runs.budget import Budget
from atrcnas.runs.folder import RunFolder
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment


def search(
    experiment: Experiment, run: str | Path, resume: bool = False, watching: Sequence[Listener] = ()
) -> ContextConfig:
    """Search the context of every pair, and where tasks part in the encoder if that is to be found at once.

    Args:
        experiment: what to search on; its ``search`` section is the recipe.
        run: run folder; gets ``search/metrics.csv``, ``search/logits.csv``, checkpoints and ``contexts.yaml``; of branches
            ``search/branches.csv`` too.
        resume: continue from the last checkpoint of ``run``.
        watching: listeners, which receive every event of the loop in the first process.

    Returns:
        The chosen context config.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    fabric = connect(experiment)
    folder = RunFolder(Path(run))
    with folder.locked(fabric.is_global_zero):
        splits = open_splits(experiment, experiment.search.held_out)
        require_labels(experiment, splits)
        training, choice = search_training(experiment, splits, fabric)

        def contexts() -> ContextConfig:
            return _contexts(experiment, choice, training.step)

        budget = Budget(folder.budget, experiment.search.strategy, fabric.is_global_zero)
        recorders: list[Listener] = [
            ChoiceRecorder(choice.sampler, folder.logits, budget, lambda: contexts().save(folder.contexts))
        ]
        if isinstance(choice, BranchChoice):
            recorders.append(BranchRecorder(choice.branches, folder.branch_logits, fabric.is_global_zero))
        stage = begin(experiment, folder, resume, training, recorders)
        batches = search_batches(experiment, splits, stage.share)
        run_stage(stage, batches, splits, watching if fabric.is_global_zero else ())
        if fabric.is_global_zero:
            contexts().save(folder.contexts)
        fabric.barrier()
        return contexts()


def search_training(experiment: Experiment, splits: Splits, fabric: Fabric) -> tuple[Training, Choice]:
    """The training of a search before its first step, and its choice."""
    branches = experiment.search.branches
    if branches is not None and branches.at_once:
        return branch_training(experiment, branches, splits, fabric, branches.contexts == "together")

    def make_choice(sampler: Sampler) -> Choice:
        recipe, limits = experiment.search, limits_of(experiment, splits)
        pressure, cost = Pressure(limits, sampler, recipe.steps) if limits else None, None
        if recipe.cost_weight:
            table = limits.table if limits else table_of(experiment, splits)
            weights = {str(measure): weight for measure, weight in recipe.cost_weight.items()}
            cost = CostTerm(table, weights, sampler)
        return Choice(sampler, recipe, pressure, cost)

    return assemble(experiment, splits, fabric, supernet(experiment), make_choice)


def _contexts(experiment: Experiment, choice: Choice, step: int) -> ContextConfig:
    """The current choice with its probabilities."""
    if isinstance(choice, BranchChoice):
        experiment = experiment.replace(model={"branches": choice.tree().as_mapping()})
    sampler = choice.sampler
    return searched_config(
        experiment, choice.chosen(), step, sampler.probability_table(), undecided=sampler.undecided()
    )


def search_batches(experiment: Experiment, splits: Splits, share: dict[str, int]) -> Iterable[Any]:
    """Batches for the steps that are left; pairs (for the logits, for the weights) in a bi-level search."""
    recipe = experiment.search
    if not splits.logits:
        return training_loader(experiment, splits.train, splits.weights, recipe.batch_size, recipe.steps, **share)
    half = experiment.replace(data={"cache_mib": experiment.data.cache_mib // 2})  # two loaders share the bound
    loaders = (
        training_loader(half, splits.train, part, recipe.batch_size, recipe.steps, **share)
        for part in (splits.logits, splits.weights)
    )
    return zip(*loaders, strict=True)
