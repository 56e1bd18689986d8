"""The whole job from the cost of its steps: search, retraining, validations, disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lightning_fabric import Fabric

from atrcnas.engine.devices import connect, surroundings
from atrcnas.planning.stages import StageCost, in_order, inference_cost, retrain_cost, search_cost
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.strategies import STRATEGIES

# Mean share of committed pairs over the steps of a search by `soft`: between 0.1 (40 steps) and 0.45 (the bundled quickstart).
COMMITTED = 0.25
BUDGET_S = 5.0  # for the timed steps of each stage
_PASSES = 30  # of one image, to measure parameters and latency
_LOGIT_ROW, _METRIC_ROW = 60, 35  # bytes in the tables


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        steps: of it, in a search by trials those of all trials together.
        step_s: seconds of a step; in a search by ``soft``, with the expected share of committed pairs.
        waiting_s: of a step, for its data.
        seconds: of the stage.
        validating_s: of ``seconds``, for validations.
        multiply_adds: of a step, forward and backward, before any pair has committed.
        parameters: that are trained.
        peak_mib: of memory.
        disk_mib: of its checkpoints.
    """

    steps: int
    step_s: float
    waiting_s: float
    seconds: float
    validating_s: float
    multiply_adds: int
    parameters: int
    peak_mib: float
    disk_mib: float


@dataclass(frozen=True)
class Plan:
    """The whole job.

    Attributes:
        experiment: its name.
        device: where the steps were timed.
        threads: that computed them.
        branches: the search of branches that comes before that of contexts; None if there is none.
        search: the search; None if it has no supernet of its own.
        trials_s: seconds of the trials of a search by trials, over all workers.
        retrain: the training of the answer, with an even mix of the space's kinds.
        evaluate_s: seconds to score the answer.
        seconds: of the whole, without figures and export.
        disk_mib: of the run folder at the end.
        peak_mib: of memory.
        parameters: of the answer, without those that only training needs.
        multiply_adds: of the answer for one image of ``image_size``.
        image_size: height and width.
        cacheable_mib: of all training samples in memory.
        cached_s: seconds that keeping them there would save.
    """

    experiment: str
    device: str
    threads: int
    branches: StagePlan | None
    search: StagePlan | None
    trials_s: float
    retrain: StagePlan
    evaluate_s: float
    seconds: float
    disk_mib: float
    peak_mib: float
    parameters: int
    multiply_adds: int
    image_size: tuple[int, int]
    cacheable_mib: float
    cached_s: float

    def dump(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def plan(experiment: Experiment, budget_s: float = BUDGET_S) -> Plan:
    """Try an experiment and say what all of it will cost; nothing is written.

    Args:
        experiment: the job.
        budget_s: seconds for the timed steps of each stage, about.

    Raises:
        ConfigError: it is for several devices.
        AtrcnasError: it cannot be built, or its data cannot be read.
    """
    experiment.check_one_device("a plan")
    fabric, strategy = connect(experiment), STRATEGIES[experiment.search.strategy]
    first, experiment = in_order(experiment)
    branching = None if first is None else search_stage(first, fabric, budget_s)
    with_supernet = strategy.by_gradient or (strategy.score is not None and not experiment.search.trials.supernet)
    searching = search_stage(experiment, fabric, budget_s) if with_supernet else None
    fixed = retrain_cost(experiment, fabric, budget_s)
    retrain = _stage(experiment, fixed, experiment.retrain, fixed.step.seconds)
    trials_s = 0.0 if strategy.by_gradient else _trials(experiment, fixed)
    parameters, multiply_adds, size = inference_cost(experiment)
    images = len(fixed.splits.val) + len(fixed.splits.selection)
    evaluate_s = images * _with_reading(experiment, fixed, fixed.alone_s) + _PASSES * fixed.alone_s
    around, stages = surroundings(experiment), [stage for stage in (branching, searching, retrain) if stage]
    return Plan(
        experiment=experiment.name,
        device=str(around["device"]),
        threads=int(around["threads"]),
        branches=branching,
        search=searching,
        trials_s=trials_s,
        retrain=retrain,
        evaluate_s=evaluate_s,
        seconds=sum(stage.seconds for stage in stages) + trials_s + evaluate_s,
        disk_mib=_disk_mib(experiment, stages, parameters),
        peak_mib=max(stage.peak_mib for stage in stages),
        parameters=parameters,
        multiply_adds=multiply_adds,
        image_size=size,
        cacheable_mib=len(fixed.splits.weights) * fixed.sample_bytes / 2**20,
        cached_s=_could_be_cached(experiment, fixed),
    )


def search_stage(experiment: Experiment, fabric: Fabric, budget_s: float = BUDGET_S) -> StagePlan:
    """The search by gradient of an experiment, or the training of the supernet that its trials are scored with."""
    if not STRATEGIES[experiment.search.strategy].by_gradient:
        experiment = experiment.replace(search={"strategy": "gumbel", "estimator": "sampled", "held_out": 0.0})
    cost = search_cost(experiment, fabric, budget_s)
    mean = (1 - COMMITTED) * cost.step.seconds + COMMITTED * cost.settled_s
    return _stage(experiment, cost, experiment.search, mean, experiment.search.seeds)


def _stage(experiment: Experiment, cost: StageCost, recipe: TrainSpec, step_s: float, times: int = 1) -> StagePlan:
    validations = math.ceil(recipe.steps / recipe.validate_every)
    images_s = len(cost.splits.choosing[1]) * _with_reading(experiment, cost, cost.image_s)
    validating = validations * (images_s + cost.save.seconds)
    training = (
        recipe.steps * step_s - cached_reads(experiment, cost, recipe, kept_mib=experiment.data.cache_mib) * cost.read_s
    )
    return StagePlan(
        steps=times * recipe.steps,
        step_s=step_s,
        waiting_s=cost.step.waiting,
        seconds=times * (cost.setup_s + max(training, 0.0) + validating),
        validating_s=times * validating,
        multiply_adds=cost.multiply_adds,
        parameters=cost.parameters,
        peak_mib=cost.peak_bytes / 2**20,
        disk_mib=2 * times * cost.save.num_bytes / 2**20,
    )


def _with_reading(experiment: Experiment, cost: StageCost, image_s: float) -> float:
    """Seconds of a validation image that is also read: before, or by the loader processes meanwhile."""
    workers = experiment.data.workers
    return max(image_s, cost.read_s / workers) if workers else image_s + cost.read_s


def cached_reads(experiment: Experiment, cost: StageCost, recipe: TrainSpec, kept_mib: float) -> float:
    """How many reads of a sample find it in memory; none are counted where loader processes read ahead."""
    if experiment.data.workers:
        return 0.0
    samples = len(cost.splits.weights)
    kept = min(1.0, kept_mib * 2**20 / (samples * cost.sample_bytes))
    return kept * max(recipe.steps * recipe.batch_size - samples, 0)


def _could_be_cached(experiment: Experiment, cost: StageCost) -> float:
    if experiment.data.cache_mib:
        return 0.0
    recipes = (experiment.search, experiment.retrain)
    return sum(cached_reads(experiment, cost, recipe, math.inf) for recipe in recipes) * cost.read_s


def _trials(experiment: Experiment, cost: StageCost) -> float:
    """Seconds of all trials: each a training of its own, or a score with the supernet's weights."""
    options, recipe = experiment.search.trials, experiment.retrain
    images = len(cost.splits.choosing[1])
    if STRATEGIES[experiment.search.strategy].score is not None:
        return options.number * images * _with_reading(experiment, cost, cost.alone_s) / experiment.launch.workers
    short = experiment.replace(
        retrain={"steps": options.steps, "validate_every": min(recipe.validate_every, options.steps)}
    ).retrain
    one = _stage(experiment, cost, short, cost.step.seconds).seconds + _PASSES * cost.alone_s
    one += images * _with_reading(experiment, cost, cost.alone_s)
    return options.number * one / experiment.launch.workers


def _disk_mib(experiment: Experiment, stages: Sequence[StagePlan], parameters: int) -> float:
    """The checkpoints, the weights once more as the answer, exported and as the best ones, and the tables."""
    copies = 3 if experiment.retrain.keep == "best" else 2
    pools = experiment.search_space().pools(experiment.tasks, experiment.all_tasks)
    search, retrain = experiment.search, experiment.retrain
    rows = search.seeds * search.steps / search.log_every * sum(map(len, pools.values())) * _LOGIT_ROW
    rows += (search.steps / search.log_every + retrain.steps / retrain.log_every) * len(pools) * _METRIC_ROW
    return sum(stage.disk_mib for stage in stages) + (copies * 4 * parameters + rows) / 2**20
