"""What a step of each stage costs: searching, and training one fixed network."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from lightning_fabric import Fabric

from atrcnas.data.loading import training_loader, validation_loader
from atrcnas.engine.branch_search import all_apart, branches_alone
from atrcnas.engine.class_weights import weighted_tasks
from atrcnas.engine.costs import counted, multiply_adds
from atrcnas.engine.gradient_search import search_batches, search_training
from atrcnas.engine.label_states import label_states
from atrcnas.engine.networks import context_config, fixed_network
from atrcnas.engine.retrain import fixed_training
from atrcnas.engine.splits import Splits, choosing_loader, open_splits
from atrcnas.engine.training import Training
from atrcnas.nn.fold import inference_copy
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.planning.memory import forget_peak, peak_bytes
from atrcnas.planning.timing import (
    MOST,
    WARM_UP,
    SaveTimes,
    StepTimes,
    past_prefetch,
    time_reading,
    time_saving,
    time_steps,
    time_validation,
)
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.context_config import Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair

_VALIDATED, _ALONE = 16, 6  # images, if there are as many
_SHARE = {"first": 0, "rank": 0, "world": 1}


@dataclass(frozen=True)
class StageCost:
    """What one stage costs.

    Attributes:
        setup_s: until the first step.
        step: a step before any pair has committed.
        settled_s: a step after all have.
        image_s: validation of one image among others, once it is read.
        alone_s: of one image at a time, as the answer is scored.
        read_s: reading one sample.
        sample_bytes: of a sample that is kept in memory.
        save: one checkpoint.
        peak_bytes: of memory, with everything that the process has loaded.
        parameters: that are trained.
        multiply_adds: of a step, forward and backward.
        splits: the data.
    """

    setup_s: float
    step: StepTimes
    settled_s: float
    image_s: float
    alone_s: float
    read_s: float
    sample_bytes: int
    save: SaveTimes
    peak_bytes: int
    parameters: int
    multiply_adds: int
    splits: Splits


def search_cost(experiment: Experiment, fabric: Fabric, budget_s: float) -> StageCost:
    """Build the supernet and try it."""
    forget_peak(fabric.device)
    began, timed = time.perf_counter(), _past_warm_up(_long(experiment, "search"))
    splits = open_splits(timed, timed.search.held_out)
    training, choice = search_training(timed, splits, fabric)
    sampler = choice.sampler
    sampler.commit_gap = float("inf")
    setup_s = time.perf_counter() - began
    workers = timed.data.workers
    batches = past_prefetch(search_batches(timed, splits, dict(_SHARE)), workers)
    step = time_steps(training, batches, budget_s)
    settled_s = step.seconds
    if timed.search.estimator == "soft":
        settle(sampler)
        settled = time_steps(training, batches, budget_s / 2)
        settled_s = settled.seconds - settled.waiting + step.waiting
    del batches
    return _rest(timed, training, splits, setup_s, step, settled_s)


def retrain_cost(experiment: Experiment, fabric: Fabric, budget_s: float) -> StageCost:
    """Build the network of an even mix of the space's kinds, and try it."""
    forget_peak(fabric.device)
    began, timed = time.perf_counter(), _long(experiment, "retrain")
    splits = open_splits(timed)
    net = fixed_network(timed, context_config(timed, even_mix(timed), Provenance()))
    states = label_states(timed, splits.train, splits.weights)
    training = fixed_training(
        net, Objective(weighted_tasks(timed, splits.train, splits.weights), states), timed, fabric
    )
    setup_s = time.perf_counter() - began
    recipe = timed.retrain
    loader = training_loader(timed, splits.train, splits.weights, recipe.batch_size, recipe.steps, **_SHARE)
    step = time_steps(training, past_prefetch(loader, timed.data.workers), budget_s)
    return _rest(timed, training, splits, setup_s, step, step.seconds)


def in_order(experiment: Experiment) -> tuple[Experiment | None, Experiment]:
    """The search of branches that comes first, if there is one, and all that comes after it.

    Which tree will be found is not known; the job goes on with the one that costs most.
    """
    spec = experiment.search.branches
    first = spec is not None and not spec.at_once and not experiment.model.branches
    return branches_alone(experiment) if first else None, all_apart(experiment)


def even_mix(experiment: Experiment) -> dict[Pair, str]:
    """A config in which the kinds of the space are as frequent as in its pools: what will be chosen is not known."""
    pools = experiment.search_space().pools(experiment.tasks, experiment.all_tasks)
    return {pair: pool[index % len(pool)] for index, (pair, pool) in enumerate(pools.items())}


def inference_cost(experiment: Experiment) -> tuple[int, int, tuple[int, int]]:
    """Parameters, and multiply-adds at the size of a validation image, of the fixed network; and that size."""
    net = fixed_network(experiment, context_config(experiment, even_mix(experiment), Provenance()))
    splits = open_splits(experiment)
    size = next(iter(validation_loader(experiment, splits.val, 1, samples=[0]))).sizes[0]
    bare = inference_copy(net)
    return sum(parameter.numel() for parameter in bare.parameters()), multiply_adds(net, size), size


def _long(experiment: Experiment, stage: str) -> Experiment:
    """The same with steps enough to time."""
    least = 2 * (WARM_UP + MOST) + 2 * experiment.data.workers
    return experiment.replace(**{stage: {"steps": max(getattr(experiment, stage).steps, least)}})


def _past_warm_up(experiment: Experiment) -> Experiment:
    """The same without the few steps in which a search of branches trains but one copy for each task."""
    branches = experiment.search.branches
    if branches is None:
        return experiment
    return experiment.replace(search={"branches": {**branches.model_dump(), "warm_up": 0.0}})


def settle(sampler: Sampler) -> None:
    """Let every pair commit, to an even mix of the kinds."""
    with torch.no_grad():
        for row, pool in enumerate(sampler.pools.values()):
            sampler.choice[row] = sampler.kinds.index(pool[row % len(pool)])
        sampler.committed.fill_(True)
    sampler.refresh()


def _rest(
    experiment: Experiment, training: Training, splits: Splits, setup_s: float, step: StepTimes, settled_s: float
) -> StageCost:
    size = training.recipe.batch_size
    images = len(splits.choosing[1])
    num_batches = min(-(-_VALIDATED // size), -(-images // size))
    spent = time_validation(training, choosing_loader(experiment, splits, size), num_batches)
    alone = time_validation(training, choosing_loader(experiment, splits, 1), _ALONE)
    read_s, sample_bytes = time_reading(splits.train, splits.weights)
    return StageCost(
        setup_s=setup_s,
        step=step,
        settled_s=settled_s,
        image_s=spent / min(num_batches * size, images),
        alone_s=alone / min(_ALONE, images),
        read_s=read_s,
        sample_bytes=sample_bytes,
        save=time_saving(training),
        peak_bytes=peak_bytes(training.fabric.device),
        parameters=sum(parameter.numel() for parameter in training.weights.parameters),
        multiply_adds=_step_multiply_adds(training, step.shape),
        splits=splits,
    )


def step_multiply_adds(net: MultiTaskNet, mixtures: Sequence[Mixture | None], shape: Sequence[int]) -> int:
    """Of forward and backward, by shapes alone.

    Args:
        net: on any device; moved to the meta device.
        mixtures: on the meta device, that are computed on the same batch; one None for a fixed network.
        shape: of the batch, [B, 3, H, W].
    """
    net = net.to("meta").eval()
    image = torch.empty(tuple(shape), device="meta", dtype=next(net.parameters()).dtype)

    def compute() -> None:
        encoded = net.encode(image, None, mixtures[0])
        results = [*encoded.labels.values(), *encoded.initial.values()]
        for predictions in net.decode_each(encoded, mixtures):
            results += predictions.values()
        torch.autograd.backward(results, [torch.empty_like(x) for x in results])

    return counted(compute)


def _step_multiply_adds(training: Training, shape: Sequence[int]) -> int:
    choice = training.choice
    mixtures = [None] if choice is None else on_meta(choice.draw(0))
    return step_multiply_adds(copy.deepcopy(training.weights.net), mixtures, shape)


def on_meta(mixtures: Sequence[Mixture]) -> list[Mixture | None]:
    """The same mixtures without values, and apart from the logits.

    Which copies of a segment are computed is read from their weights, which therefore keep theirs.
    """
    meta = torch.device("meta")
    with torch.no_grad():
        return [replace(one.to(meta), copies=None if one.copies is None else one.copies.detach()) for one in mixtures]
