"""Encoder trees as candidates: a partition of the tasks at each branching point, each refining the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from atrcnas.sampling.partitions import Partition, groups_of, num_groups, partition_of, partitions, refines
from atrcnas.spec.branches import Branches

Tree = tuple[Partition, ...]


class Priced(NamedTuple):
    """A tree, with what it costs and how it was scored.

    Attributes:
        cost: of its segments, see :func:`cost_of`.
        score: lower is better.
        tree: itself.
    """

    cost: float
    score: float
    tree: Tree


def shared(num_tasks: int, num_points: int) -> Tree:
    """The tree in which all tasks share everything."""
    return (partitions(num_tasks)[0],) * num_points


def apart(num_tasks: int, num_points: int) -> Tree:
    """The tree in which all tasks part at the first point."""
    return (partitions(num_tasks)[-1],) * num_points


def all_trees(num_tasks: int, num_points: int) -> Iterator[Tree]:
    """Every tree, in the order of their partitions: 22 of 3 tasks and 3 points."""
    return _grown((), num_tasks, num_points)


def _grown(begun: Tree, num_tasks: int, num_points: int) -> Iterator[Tree]:
    if len(begun) == num_points:
        yield begun
        return
    for partition in partitions(num_tasks):
        if not begun or refines(partition, begun[-1]):
            yield from _grown((*begun, partition), num_tasks, num_points)


def cost_of(tree: Tree, costs: Sequence[float]) -> float:
    """What the segments of a tree cost together.

    Args:
        tree: one partition per point.
        costs: of one copy of the segment after each point, such as its multiply-adds.
    """
    return sum(num_groups(partition) * cost for partition, cost in zip(tree, costs, strict=True))


def front(num_tasks: int, costs: Sequence[float], score: Callable[[int, Partition], float]) -> list[Priced]:
    """The best tree at every cost, where the score of a tree is a sum over its points.

    Exact: of the trees that end in the same partition at a point, only one that is dearer than another and scores no
    better is given up.

    Args:
        num_tasks: T.
        costs: as in :func:`cost_of`.
        score: of the partition at point 0, 1, ...; lower is better.

    Returns:
        By rising cost and falling score.
    """
    known = partitions(num_tasks)
    ends = {known[0]: [Priced(0.0, 0.0, ())]}
    for point, cost in enumerate(costs):
        reached: dict[Partition, list[Priced]] = {}
        for here in known:
            own, price = score(point, here), num_groups(here) * cost
            before = _undominated(one for last, found in ends.items() if refines(here, last) for one in found)
            reached[here] = [Priced(one.cost + price, one.score + own, (*one.tree, here)) for one in before]
        ends = reached
    return _undominated(one for found in ends.values() for one in found)


def _undominated(candidates: Iterable[Priced]) -> list[Priced]:
    kept: list[Priced] = []
    for one in sorted(candidates):
        if not kept or one.score < kept[-1].score:
            kept.append(one)
    return kept


def as_branches(tree: Tree, tasks: Sequence[str], points: Sequence[str]) -> Branches:
    """The tree of named tasks and points, as a context config has it."""
    groups = {point: groups_of(partition, tasks) for point, partition in zip(points, tree, strict=True)}
    return Branches.of(groups, tasks, points)


def tree_of(branches: Branches) -> Tree:
    """The inverse of :func:`as_branches`."""
    return tuple(partition_of(groups, branches.tasks) for groups in branches.grouping)
