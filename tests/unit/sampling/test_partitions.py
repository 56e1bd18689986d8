"""Set partitions of tasks against naive sets, and their probabilities against going through every draw."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.sampling.partition_chances import PartitionChances
from atrcnas.sampling.partitions import (
    Partition,
    decoded,
    groups_of,
    induced,
    meet,
    num_groups,
    partition_of,
    partitions,
    refines,
)

Sets = frozenset[frozenset[int]]


def sets(labels: Sequence[int]) -> Sets:
    """A partition without any numbering."""
    return frozenset(frozenset(t for t, other in enumerate(labels) if other == label) for label in labels)


def finer(one: Sets, other: Sets) -> bool:
    return all(any(group <= whole for whole in other) for group in one)


def random_rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


@pytest.mark.parametrize(("num_tasks", "bell"), [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (6, 203)])
def test_there_are_as_many_partitions_as_bells_number_each_once(num_tasks: int, bell: int) -> None:
    found = partitions(num_tasks)
    assert len(found) == bell == len({sets(one) for one in found})
    assert found == tuple(sorted(found))
    assert num_groups(found[0]) == 1 and num_groups(found[-1]) == num_tasks


@pytest.mark.parametrize("num_tasks", [0, 8])
def test_too_many_tasks_to_list_their_partitions_are_refused(num_tasks: int) -> None:
    with pytest.raises(ConfigError, match=f"branches: expected 1 to 7 tasks.*got {num_tasks}"):
        partitions(num_tasks)


@pytest.mark.parametrize("num_tasks", [3, 4, 5])
def test_refinement_and_meet_are_those_of_sets(num_tasks: int) -> None:
    for one, other in itertools.product(partitions(num_tasks), repeat=2):
        assert refines(one, other) == finer(sets(one), sets(other))
        common = {first & second for first in sets(one) for second in sets(other)} - {frozenset()}
        assert sets(meet(one, other)) == common


def test_groups_carry_names_and_are_read_in_any_order() -> None:
    tasks = ["a", "b", "c", "d"]
    for one in partitions(4):
        assert partition_of(reversed(groups_of(one, tasks)), tasks) == one
    assert groups_of((0, 1, 0, 2), tasks) == [["a", "c"], ["b"], ["d"]]


def test_a_decoded_tree_never_joins_and_keeps_together_only_what_always_chose_alike() -> None:
    source = random.Random(0)
    for _ in range(300):
        num_tasks, num_points = source.randint(1, 5), source.randint(1, 6)
        choices = [[source.randrange(num_tasks) for _ in range(num_tasks)] for _ in range(num_points)]
        tree = decoded(choices)
        assert all(finer(sets(after), sets(before)) for before, after in itertools.pairwise(tree))
        for point, (first, second) in itertools.product(range(num_points), itertools.combinations(range(num_tasks), 2)):
            alike = all(chosen[first] == chosen[second] for chosen in choices[: point + 1])
            assert (tree[point][first] == tree[point][second]) == alike


def every_draw(rows: Tensor) -> dict[tuple[int, ...], float]:
    num_tasks = len(rows)
    return {
        draw: math.prod(float(rows[task, copy]) for task, copy in enumerate(draw))
        for draw in itertools.product(range(num_tasks), repeat=num_tasks)
    }


def by_partition(chances: dict[Sets, float], known: Sequence[Partition]) -> list[float]:
    return [chances.get(sets(one), 0.0) for one in known]


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 4, 5])
def test_chances_of_a_draw_equal_the_sum_over_every_draw(num_tasks: int) -> None:
    rows, chances = random_rows(num_tasks, num_tasks, seed=num_tasks), PartitionChances(num_tasks)
    expected: dict[Sets, float] = {}
    for draw, chance in every_draw(rows).items():
        expected[sets(draw)] = expected.get(sets(draw), 0.0) + chance
        assert sets(induced(draw)) == sets(draw)
    found = chances.of_draws(rows)
    torch.testing.assert_close(
        found, torch.tensor(by_partition(expected, chances.partitions), dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert abs(float(found.sum()) - 1) < 1e-12


@pytest.mark.parametrize(("num_tasks", "num_points"), [(2, 4), (3, 3), (5, 2)])
def test_chances_at_the_points_equal_the_sum_over_every_sequence_of_draws(num_tasks: int, num_points: int) -> None:
    rows, chances = random_rows(num_points, num_tasks, num_tasks), PartitionChances(num_tasks)
    apart = sets(range(num_tasks))
    state = {sets([0] * num_tasks): 1.0}
    for point, found in enumerate(chances.of_points(rows)):
        after: dict[Sets, float] = {}
        for draw, chance in every_draw(rows[point]).items():
            for before, so_far in state.items():
                here = sets(draw) if finer(sets(draw), before) else apart
                after[here] = after.get(here, 0.0) + so_far * chance
        state = after
        expected = torch.tensor(by_partition(state, chances.partitions), dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert abs(float(found.sum()) - 1) < 1e-12


def test_expected_cost_counts_the_copies_that_are_needed() -> None:
    rows, chances, costs = random_rows(3, 4, 4), PartitionChances(4), [3.0, 1.0, 2.0]
    by_hand = sum(
        cost * sum(float(chance) * num_groups(one) for one, chance in zip(chances.partitions, point, strict=True))
        for cost, point in zip(costs, chances.of_points(rows), strict=True)
    )
    assert float(chances.expected_cost(rows, costs)) == pytest.approx(by_hand, rel=1e-12)
    own_copy = torch.eye(4).expand(3, 4, 4)
    assert float(chances.expected_cost(own_copy, costs)) == 4 * 6
    assert float(chances.expected_cost(torch.eye(4)[[0, 0, 0, 0]].expand(3, 4, 4), costs)) == 6


def test_gradients_of_the_expected_cost_equal_finite_differences() -> None:
    chances = PartitionChances(4)
    logits = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: chances.expected_cost(x.softmax(-1), [1.0, 0.5, 2.0]), (logits,))


def test_the_gradient_is_there_where_rows_are_one_hot() -> None:
    rows = torch.eye(3, dtype=torch.float64).expand(2, 3, 3).clone().requires_grad_()
    PartitionChances(3).expected_cost(rows, [1.0, 1.0]).backward()
    assert rows.grad is not None and rows.grad.isfinite().all() and rows.grad.abs().sum() > 0
