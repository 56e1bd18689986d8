"""What an experiment would take on a device that is not at hand: its multiply-adds over a throughput that is assumed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from atrcnas.engine.branch_search import branch_supernet, searched_points
from atrcnas.engine.choice import Choice, build_sampler
from atrcnas.engine.networks import context_config, fixed_network, supernet
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.planning.job import COMMITTED
from atrcnas.planning.lines import ALL_APART
from atrcnas.planning.stages import even_mix, in_order, on_meta, settle, step_multiply_adds
from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.spec.context_config import Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.strategies import STRATEGIES

_FORM = re.compile(r"\s*(?P<name>[^:]+?)\s*:\s*(?P<rate>\d+(\.\d+)?)\s*TFLOP/s(\s+sustained)?\s*")


@dataclass(frozen=True)
class Stage:
    """Steps of one kind.

    Attributes:
        name: branches, search, trials or retrain.
        steps: of all seeds or trials together.
        multiply_adds: of a mean step, forward and backward.
        hours: of all steps.
    """

    name: str
    steps: int
    multiply_adds: int
    hours: float


@dataclass(frozen=True)
class Elsewhere:
    """The steps of a job on another device.

    Attributes:
        experiment: its name.
        device: as the user calls it.
        tflops: 10**12 operations a second that it is assumed to sustain, two for a multiply-add.
        image_size: height and width of the training images.
        stages: in order.
        hours: of all of them.
    """

    experiment: str
    device: str
    tflops: float
    image_size: tuple[int, int]
    stages: tuple[Stage, ...]
    hours: float

    def dump(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The hours, and what they rest on."""
        yield f"{self.experiment} on {self.device}, if it sustains {self.tflops:g} TFLOP/s"
        for one in self.stages:
            yield f"{one.name:10} {one.steps:>9} steps {one.multiply_adds / 1e9:>10.1f} G mult-adds {one.hours:>8.1f} h"
        if self.stages[0].name == "branches":
            yield ALL_APART
        yield f"all steps: at least {self.hours:.1f} h"
        yield (
            f"Assumed, not measured: {self.tflops:g} TFLOP/s (two for a multiply-add) throughout, at {self.image_size[0]}x"
            f"{self.image_size[1]}; an answer with an even mix of the space's kinds; with the estimator soft, {COMMITTED:.0%} of "
            "the pairs committed in a mean step. Counted are convolutions, matrix products and attention; not waiting for "
            "data or memory, optimisers, validations, evaluation and export."
        )


def elsewhere(experiment: Experiment, like: str) -> Elsewhere:
    """Count the steps of an experiment by shapes alone, without its data, and divide.

    Args:
        experiment: the job.
        like: such as ``H100: 45 TFLOP/s sustained``.

    Raises:
        ConfigError: ``like`` is of another form, or the size of the training images is not fixed.
    """
    found = _FORM.fullmatch(like)
    if found is None or not float(found["rate"]):
        raise ConfigError(f"--like: expected such as 'H100: 45 TFLOP/s sustained', got '{like}'.")
    rate, size = float(found["rate"]), _image_size(experiment)
    experiment = experiment.replace(backbone={"weights": "none"})
    stages = tuple(
        Stage(name, steps, count, 2 * count * steps / (rate * 1e12) / 3600)
        for name, steps, count in _counted(experiment, size)
    )
    return Elsewhere(experiment.name, found["name"], rate, size, stages, sum(stage.hours for stage in stages))


def _image_size(experiment: Experiment) -> tuple[int, int]:
    augment = experiment.data.augment
    size = (augment and augment.crop_size) or experiment.data.options.get("image_size")
    if size is None:
        raise ConfigError("data.augment.crop_size: expected a size with --like, which reads no data. Set it.")
    return (size[0], size[1])


def _counted(experiment: Experiment, size: tuple[int, int]) -> Iterator[tuple[str, int, int]]:
    """Name, number of steps and multiply-adds of a mean step of each stage."""
    first, experiment = in_order(experiment)
    if first is not None:
        yield "branches", first.search.steps, _search_step(first, size)
    search, retrain = experiment.search, experiment.retrain
    strategy = STRATEGIES[search.strategy]
    with torch.device("meta"):
        net = fixed_network(experiment, context_config(experiment, even_mix(experiment), Provenance()))
    fixed = step_multiply_adds(net, [None], (retrain.batch_size, 3, *size))
    if strategy.by_gradient:
        yield "search", search.seeds * search.steps, _search_step(experiment, size)
    elif strategy.score is None:
        yield "trials", search.trials.number * search.trials.steps, fixed
    elif not search.trials.supernet:
        trained = experiment.replace(search={"strategy": "gumbel", "estimator": "sampled", "held_out": 0.0})
        yield "search", search.steps, _search_step(trained, size)
    yield "retrain", retrain.steps, fixed


def _search_step(experiment: Experiment, size: tuple[int, int]) -> int:
    spec = experiment.search.branches
    if spec is None or not spec.at_once:
        with torch.device("meta"):
            net = supernet(experiment)
        return _mean_step(net, experiment, size)
    points = searched_points(experiment, spec)
    with torch.device("meta"):
        net = branch_supernet(experiment, points, spec.contexts == "together")
    branches = BranchSampler(experiment.all_tasks, points, sampled=spec.estimator == "sampled")
    copies = (branches.own_copies(), branches.draw(0, tau=1.0))
    warming_up, after = (_mean_step(net, experiment, size, each) for each in copies)
    return round(spec.warm_up * warming_up + (1 - spec.warm_up) * after)


def _mean_step(net: MultiTaskNet, experiment: Experiment, size: tuple[int, int], copies: Tensor | None = None) -> int:
    """Of steps in which the tasks take ``copies``, if the encoder has any, and pairs commit by and by."""
    recipe = experiment.search
    sampler = build_sampler(net.candidates, recipe, experiment.seed, experiment.search_space().choose)
    choice = Choice(sampler, recipe)

    def counted() -> int:
        mixtures = [replace(mixture, copies=copies) for mixture in choice.draw(0)]
        return step_multiply_adds(net, on_meta(mixtures), (recipe.batch_size, 3, *size))

    count = counted()
    if recipe.estimator == "soft":
        settle(sampler)
        count = round((1 - COMMITTED) * count + COMMITTED * counted())
    return count * (2 if recipe.held_out else 1)  # bi-level: a batch for the logits, and one for the weights
