"""A search of branches: its schedules, what its cost term does, and that a restored search goes on as it would have."""

from __future__ import annotations

import copy
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from torch import Tensor

from atrcnas import Experiment
from atrcnas.engine.branch_choice import BranchChoice
from atrcnas.engine.branch_search import branch_training, searched_points, segment_costs, segment_latencies
from atrcnas.engine.choice import build_sampler
from atrcnas.engine.devices import connect
from atrcnas.engine.gradient_search import search_batches
from atrcnas.engine.losses import Losses
from atrcnas.engine.splits import open_splits
from atrcnas.engine.step import take_step
from atrcnas.engine.training import Training
from atrcnas.ground.errors import ConfigError
from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.spec.branch_search import BranchSearchSpec
from atrcnas.spec.pairs import all_pairs
from atrcnas.spec.recipe import SearchSpec

OVERRIDES = [
    *(
        "tasks=[semseg,depth,normals]",
        "backbone.options={stages: 4}",
        "model.width=8",
        "data.options.image_size=[48,64]",
    ),
    *("data.options.train_size=12", "data.options.val_size=2", "data.workers=0", "devices=cpu", "search.batch_size=2"),
]
TASKS, POINTS = ("a", "b", "c"), ("one", "two", "three")


def choice_of(spec: BranchSearchSpec, steps: int = 100, costs: tuple[float, ...] = (3.0, 2.0, 1.0)) -> BranchChoice:
    recipe = SearchSpec(steps=steps, estimator="soft")
    sampler = build_sampler(dict.fromkeys(all_pairs(TASKS, (4,)), ("none",)), recipe, seed=0)
    return BranchChoice(sampler, recipe, BranchSampler(TASKS, POINTS), spec, costs)


def experiment_of(*more: str) -> Experiment:
    return Experiment.load("rooms-small", [*OVERRIDES, *more])


def test_each_task_trains_its_own_copy_first_and_then_the_temperature_falls_linearly() -> None:
    choice = choice_of(BranchSearchSpec(warm_up=0.1, tau=(5.0, 0.5)))
    assert [choice.rests(step) for step in (0, 9, 10, 99)] == [True, True, False, False]
    (early,), (late,) = choice.draw(9), choice.draw(10)
    assert early.copies is not None and late.copies is not None
    assert torch.equal(early.copies, torch.eye(3).expand(3, 3, 3)) and not early.copies.requires_grad
    assert late.copies.requires_grad and late.copies.detach().min() > 0
    assert [choice.branch_tau(step) for step in (0, 10, 55)] == [5.0, 5.0, 2.75]


def descend(choice: BranchChoice, steps: range) -> None:
    """By cost alone: the losses say nothing."""
    for step in steps:
        mixtures = choice.draw(step)
        choice.optimizer.zero_grad()
        choice.objective(step, mixtures, Losses(torch.zeros(()), [{}])).backward()
        choice.optimizer.step()


def test_cost_alone_brings_the_tasks_together_and_no_cost_leaves_the_chances_as_they_are() -> None:
    free, dear = (choice_of(BranchSearchSpec(cost_weight=weight, warm_up=0.0)) for weight in (0.0, 10.0))
    with torch.no_grad():  # the fully symmetric start has no direction to go
        for choice in (free, dear):
            choice.branches.logits.copy_(0.1 * torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0)))
    before = dear.branches.expected_cost(dear.costs).item(), free.branches.probabilities().detach()
    for choice in (free, dear):
        choice.optimizer.param_groups[1].update(lr=0.1, weight_decay=0.0)
        descend(choice, range(100))
    assert dear.tree().together
    assert dear.branches.expected_cost(dear.costs).item() < 1.1 * 6 < before[0]
    torch.testing.assert_close(free.branches.probabilities().detach(), before[1])


def test_a_restored_choice_goes_on_as_it_would_have() -> None:
    spec = BranchSearchSpec(cost_weight=1.0, warm_up=0.0)
    first, second = choice_of(spec), choice_of(spec, costs=(9.0, 1.0, 1.0))  # measured anew, they would differ
    descend(first, range(5))
    second.load(copy.deepcopy(first.state()))
    for choice in (first, second):
        descend(choice, range(5, 10))
    assert torch.equal(first.branches.logits, second.branches.logits)


def test_a_segment_costs_the_multiply_adds_of_its_convolution() -> None:
    experiment = experiment_of()
    points = searched_points(experiment, BranchSearchSpec())
    assert points == ("stage1", "stage2", "stage3")
    # Height, width, channels out and in of 3x3 convolutions at strides 4, 8 and 16 of 48 x 64 pixels.
    shapes = [(12, 16, 32, 16), (6, 8, 48, 32), (3, 4, 64, 48)]
    assert segment_costs(experiment, points, (48, 64)) == [9 * h * w * c_out * c_in for h, w, c_out, c_in in shapes]
    assert segment_costs(experiment, ("stage1", "stage3"), (48, 64))[0] == sum(
        9 * h * w * c_out * c_in for h, w, c_out, c_in in shapes[:2]
    )


def test_latencies_are_of_each_segment_on_the_maps_it_reads() -> None:
    """Instead of time, the number of maps that a segment gives."""
    experiment, read = experiment_of(), []

    def clock(run: Callable[[Tensor], tuple[Tensor, list[Tensor]]], image: Tensor) -> dict[str, float]:
        state, maps = run(image)
        read.append(tuple(state.shape[1:]))
        return {"median": float(len(maps))}

    with mock.patch("atrcnas.engine.branch_search.measure_latency", clock):
        assert segment_latencies(experiment, ("stage1", "stage3"), (48, 64)) == [2.0, 1.0]
    assert read == [(48, 6, 8), (64, 3, 4)]


def test_points_are_those_of_the_backbone_in_its_order() -> None:
    experiment = experiment_of()
    assert searched_points(experiment, BranchSearchSpec(points=("stage3", "stem"))) == ("stem", "stage3")
    with pytest.raises(ConfigError, match="stage9: no branching point of this backbone"):
        searched_points(experiment, BranchSearchSpec(points=("stage9",)))
    with pytest.raises(ConfigError, match="at least two tasks"):
        searched_points(experiment.replace(tasks=["semseg"]), BranchSearchSpec())


def steps_of(training: Training, experiment: Experiment, count: int) -> None:
    splits = open_splits(experiment, experiment.search.held_out)
    share = {"first": training.step, "rank": 0, "world": 1}
    for _, batch in zip(range(count), search_batches(experiment, splits, share), strict=False):
        take_step(training, batch)


@pytest.mark.parametrize(("estimator", "held_out", "with_contexts"), [("soft", 0.25, False), ("sampled", 0.0, True)])
def test_a_resumed_search_ends_as_an_uninterrupted_one(estimator: str, held_out: float, with_contexts: bool) -> None:
    experiment = experiment_of("search.steps=6", "search.validate_every=6", f"search.held_out={held_out}")
    spec = BranchSearchSpec(estimator=estimator, warm_up=0.2, cost_weight=5.0)
    splits = open_splits(experiment, held_out)
    begun = [branch_training(experiment, spec, splits, connect(experiment), with_contexts) for _ in range(2)]
    (whole, choice), (second, resumed) = begun
    untouched = choice.branches.logits.detach().clone()
    steps_of(whole, experiment, 3)
    second.load(copy.deepcopy(whole.state()))
    for training in (whole, second):
        steps_of(training, experiment, 3)
    assert torch.equal(choice.branches.logits, resumed.branches.logits)
    assert not torch.equal(choice.branches.logits, untouched), "the logits moved"
    state = second.weights.net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.weights.net.state_dict().items())
    assert {choice.tree(), resumed.tree()} == {choice.tree()}
    assert len(choice.chosen()) == 9
