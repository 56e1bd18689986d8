"""The search of branches: a supernet of copies, its training, and what one copy of each segment costs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrcnas.engine.branch_choice import BranchChoice
from atrcnas.engine.costs import measure_latency, multiply_adds
from atrcnas.engine.devices import place
from atrcnas.engine.networks import fixed_network, network
from atrcnas.engine.search_training import assemble
from atrcnas.engine.splits import Splits
from atrcnas.engine.training import Training
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.branch_supernet import BranchSupernet, Segment
from atrcnas.nn.encoder_parts import Part, State, parts_of, points_of
from atrcnas.nn.net import MultiTaskNet
from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.branch_search import BranchSearchSpec
from atrcnas.spec.branches import STEM, Branches
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair
from atrcnas.spec.strategies import STRATEGIES


def searched_points(experiment: Experiment, spec: BranchSearchSpec) -> tuple[str, ...]:
    """The branching points of a search, from the image on.

    Raises:
        ConfigError: the backbone has no such point, or cannot be cut; fewer than two tasks.
    """
    if len(experiment.all_tasks) < 2:
        raise ConfigError(
            "search.branches: expected at least two tasks, got one, which has nobody to part from. Remove it."
        )
    known = points_of(_encoder(_bare(experiment))[1])
    for point in spec.points:
        try:
            Branches.of({}, experiment.all_tasks, known).groups(point)
        except ConfigError as error:
            raise ConfigError(f"search.branches.points: {str(error).removeprefix('branches.')}") from error
    chosen = spec.points or [point for point in known if point != STEM and "." not in point]
    return tuple(point for point in known if point in chosen)


def branches_alone(experiment: Experiment) -> Experiment:
    """The search of branches that comes before that of contexts, by the same recipe of the weights."""
    recipe = experiment.search
    branches = recipe.branches.model_dump() if recipe.branches else {}
    settings = {"branches": {**branches, "contexts": "none"}, "steps": branches.get("steps") or recipe.steps}
    plain = {"estimator": "soft", "logits_warm_up": 0.0, "seeds": 1, "budget": {}, "cost_weight": {}}
    if not STRATEGIES[recipe.strategy].by_gradient:
        plain |= {"strategy": "gumbel"}
    return experiment.replace(model={"branches": {}}, search={**plain, **settings}, retrain={"inherit": False})


def all_apart(experiment: Experiment) -> Experiment:
    """The experiment on the most expensive tree that its search of branches can find."""
    if experiment.search.branches is None or experiment.model.branches:
        return experiment
    points = searched_points(experiment, experiment.search.branches)
    return _apart_from(experiment, points[0])


def segment_costs(experiment: Experiment, points: Sequence[str], size: tuple[int, int]) -> list[float]:
    """Multiply-adds of one copy of the encoder after each point, up to the next one, for one image.

    Args:
        experiment: for backbone and model.
        points: from the image on.
        size: (height, width) of the image.
    """
    tasks, plain = experiment.all_tasks, ContextConfig.from_kinds(_no_contexts(experiment))
    bare = _bare(experiment)
    trees = [*(_apart_from(bare, point) for point in points), bare.replace(model={"branches": {}})]
    totals = [multiply_adds(fixed_network(tree, plain), size) for tree in trees]
    return [(total - after) / (len(tasks) - 1) for total, after in pairwise(totals)]


@torch.no_grad()
def segment_latencies(experiment: Experiment, points: Sequence[str], size: tuple[int, int]) -> list[float]:
    """Milliseconds of one copy of the encoder after each point, up to the next one, for one image on this machine's CPU.

    Args:
        experiment: for the backbone.
        points: from the image on.
        size: (height, width) of the image.
    """
    encoder = BranchSupernet(*_encoder(_bare(experiment)), points, experiment.all_tasks[:1])
    image = torch.rand(1, 3, *size)
    states = encoder.eval().entering(image)
    return [_timed(copies[0], state, image) for copies, state in zip(encoder.segments, states, strict=True)]


def branch_supernet(experiment: Experiment, points: Sequence[str], with_contexts: bool) -> MultiTaskNet:
    """The network with a copy of each segment for each task, and with the candidates of the search space or none."""
    tasks = experiment.all_tasks
    torch.manual_seed(experiment.seed)
    encoder = BranchSupernet(*_encoder(experiment), points, tasks)
    none = {pair: (kind,) for pair, kind in _no_contexts(experiment).items()}
    candidates = experiment.search_space().pools(experiment.tasks, tasks) if with_contexts else none
    return network(_apart_from(experiment, points[0]), candidates, encoder)


def branch_training(
    experiment: Experiment, spec: BranchSearchSpec, splits: Splits, fabric: Fabric, with_contexts: bool = False
) -> tuple[Training, BranchChoice]:
    """The training of a search of branches before its first step, and its choice.

    Args:
        experiment: its ``search`` section is the recipe of weights and contexts.
        spec: how branches are searched.
        splits: with a part for the logits if ``search.held_out`` asks for one.
        fabric: devices and precision.
        with_contexts: search both at once; otherwise branches alone, on the network without contexts.
    """
    points = searched_points(experiment, spec)
    net = branch_supernet(experiment, points, with_contexts)
    branches = BranchSampler(experiment.all_tasks, points, seed=experiment.seed, sampled=spec.estimator == "sampled")

    def make_choice(sampler: Sampler) -> BranchChoice:
        place(fabric, branches, experiment.precision)
        size = splits.val[0].image.shape[:2]
        if spec.cost == "latency_ms":
            costs = segment_latencies(experiment, points, size)
        else:
            costs = [cost / 1e9 for cost in segment_costs(experiment, points, size)]
        # What one process has measured holds for all.
        return BranchChoice(sampler, experiment.search, branches, spec, fabric.broadcast(costs))

    return assemble(experiment, splits, fabric, net, make_choice)


def _encoder(experiment: Experiment) -> tuple[Backbone, tuple[Part, ...]]:
    """The encoder that all tasks share, and the parts that it can be cut into."""
    whole = Backbone(**experiment.backbone.model_dump())
    return whole, parts_of(whole.body, experiment.backbone.name)


def _bare(experiment: Experiment) -> Experiment:
    """The same without pretrained weights, which say nothing of points and costs."""
    return experiment.replace(backbone={"weights": "none"})


def _apart_from(experiment: Experiment, point: str) -> Experiment:
    """The same with an encoder for each task from a branching point on."""
    return experiment.replace(model={"branches": {point: [[task] for task in experiment.all_tasks]}})


def _no_contexts(experiment: Experiment) -> dict[Pair, str]:
    return dict.fromkeys(experiment.search_space().pools(experiment.tasks, experiment.all_tasks), NONE)


def _timed(segment: Segment, state: State, image: Tensor) -> float:
    return measure_latency(lambda _: segment(state), image)["median"]
