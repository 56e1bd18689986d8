"""Trees against all products of partitions, their fronts and random draws against going through all of them."""

from __future__ import annotations

import itertools
import random

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.sampling.partitions import Partition, num_groups, partitions, refines
from atrcnas.sampling.random_trees import random_trees
from atrcnas.sampling.trees import all_trees, apart, as_branches, cost_of, front, shared, tree_of
from atrcnas.spec.branches import Branches


@pytest.mark.parametrize(("num_tasks", "num_points", "count"), [(3, 3, 22), (2, 4, 5), (4, 2, 60)])
def test_all_trees_are_the_products_of_partitions_that_refine_in_turn(
    num_tasks: int, num_points: int, count: int
) -> None:
    products = itertools.product(partitions(num_tasks), repeat=num_points)
    expected = [tree for tree in products if all(refines(b, a) for a, b in itertools.pairwise(tree))]
    found = list(all_trees(num_tasks, num_points))
    assert found == expected and len(found) == count
    assert found[0] == shared(num_tasks, num_points) and found[-1] == apart(num_tasks, num_points)


def test_a_tree_costs_each_segment_once_for_each_group() -> None:
    tree = ((0, 0, 0), (0, 0, 1), (0, 1, 2))
    assert cost_of(tree, [5.0, 3.0, 2.0]) == 5 + 2 * 3 + 3 * 2
    assert cost_of(shared(3, 3), [5.0, 3.0, 2.0]) == 10 and cost_of(apart(3, 3), [5.0, 3.0, 2.0]) == 30


def test_trees_and_branches_are_the_same_thing() -> None:
    tasks, points = ("a", "b", "c"), ("one", "two", "three")
    for tree in all_trees(3, 3):
        assert tree_of(as_branches(tree, tasks, points)) == tree
    assert as_branches(shared(3, 3), tasks, points) == Branches.all_together(tasks, points)
    assert as_branches(((0, 0, 0), (0, 1, 0), (0, 1, 2)), tasks, points).as_mapping() == {
        "two": [["a", "c"], ["b"]],
        "three": [["a"], ["b"], ["c"]],
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_front_holds_the_best_tree_of_every_budget(seed: int) -> None:
    source = random.Random(seed)
    costs = [source.uniform(1, 5) for _ in range(4)]
    scores: dict[tuple[int, Partition], float] = {
        (point, one): source.uniform(0, 1) / num_groups(one) for point in range(4) for one in partitions(3)
    }
    every = [(cost_of(tree, costs), sum(scores[place] for place in enumerate(tree)), tree) for tree in all_trees(3, 4)]
    found = front(3, costs, lambda point, one: scores[point, one])
    for budget in sorted(cost for cost, _, _ in every):
        best = min(score for cost, score, _ in every if cost <= budget + 1e-9)
        assert [one for one in found if one.cost <= budget + 1e-9][-1].score == pytest.approx(best)
    for one in found:
        assert any(tree == one.tree and cost == pytest.approx(one.cost) for cost, _, tree in every)


def test_random_trees_of_equal_cost_come_evenly_from_all_that_there_are() -> None:
    costs, target = [7.0, 5.0, 3.0, 2.0], 33.0
    near = [tree for tree in all_trees(4, 4) if abs(cost_of(tree, costs) - target) <= 0.04 * target]
    drawn = random_trees(4, costs, target, 0.04, 40 * len(near), seed=1)
    counts = [drawn.count(tree) for tree in near]
    assert sum(counts) == len(drawn) and len(near) > 20
    # 40 expected each; the chance of any being this far off by luck is below 1e-5.
    assert min(counts) > 10 and max(counts) < 80


def test_random_trees_meet_costs_near_the_ends_of_large_spaces() -> None:
    costs = [1.0 + 0.1 * point for point in range(17)]
    target = 1.25 * cost_of(shared(5, 17), costs)
    for tree in random_trees(5, costs, target, 0.01, 20):
        assert abs(cost_of(tree, costs) - target) <= 0.01 * target
        assert all(refines(after, before) for before, after in itertools.pairwise(tree))


def test_a_cost_that_no_tree_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cost 100 within 1\.0%, found none"):
        random_trees(3, [1.0, 1.0], 100.0, 0.01, 5)
