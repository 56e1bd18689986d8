"""Set partitions of tasks: which of them share a part of the encoder.

A partition is the group of each task, the groups numbered in the order of their first tasks: ``(0, 0, 1)`` puts the first
two of three tasks together. Their order is that of these tuples, from all together to all apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cache

from atrcnas.ground.errors import ConfigError

Partition = tuple[int, ...]
MAX_TASKS = 7  # 877 partitions; 8 tasks would have 4140


@cache
def partitions(num_tasks: int) -> tuple[Partition, ...]:
    """All partitions of ``num_tasks`` tasks in order: 2, 5, 15, 52 for 2 to 5 tasks.

    Raises:
        ConfigError: fewer than 1 or more than 7 tasks.
    """
    if not 1 <= num_tasks <= MAX_TASKS:
        raise ConfigError(
            f"branches: expected 1 to {MAX_TASKS} tasks, since their partitions are listed, got {num_tasks}. "
            "Leave tasks out, or write the branches by hand."
        )
    return tuple(_grown((0,), num_tasks))


def _grown(begun: Partition, num_tasks: int) -> Iterator[Partition]:
    if len(begun) == num_tasks:
        yield begun
        return
    for group in range(max(begun) + 2):
        yield from _grown((*begun, group), num_tasks)


def induced(draw: Iterable[Hashable]) -> Partition:
    """The partition into tasks that drew the same copy."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(copy, len(numbers)) for copy in draw)


def num_groups(partition: Partition) -> int:
    """Into how many groups it divides the tasks."""
    return max(partition) + 1


def refines(finer: Partition, coarser: Partition) -> bool:
    """Whether each group of ``finer`` lies within one group of ``coarser``; equal partitions do."""
    return len(set(zip(finer, coarser, strict=True))) == num_groups(finer)


def meet(first: Partition, second: Partition) -> Partition:
    """The coarsest partition that refines both: together are those that are together in both."""
    return induced(zip(first, second, strict=True))


def decoded(choices: Sequence[Sequence[Hashable]]) -> tuple[Partition, ...]:
    """The tree of a choice of copies: tasks stay together while they have chosen the same copy at every point so far.

    Args:
        choices: for each point, from the image on, the copy that each task takes.

    Source: Bruggemann et al., BMVC 2020 (BMTAS): branches never join again.
    """
    tree: list[Partition] = []
    for chosen in map(induced, choices):
        tree.append(meet(tree[-1], chosen) if tree else chosen)
    return tuple(tree)


def groups_of(partition: Partition, tasks: Sequence[str]) -> list[list[str]]:
    """The names of the tasks in each group, as in a ``branches:`` section."""
    found: list[list[str]] = [[] for _ in range(num_groups(partition))]
    for task, group in zip(tasks, partition, strict=True):
        found[group].append(task)
    return found


def partition_of(groups: Iterable[Iterable[str]], tasks: Sequence[str]) -> Partition:
    """The inverse of :func:`groups_of`, for groups in any order."""
    group_of = {task: number for number, group in enumerate(groups) for task in group}
    return induced(group_of[task] for task in tasks)
