"""Random encoder trees of a given cost, to compare a chosen tree with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import ConfigError
from atrcnas.sampling.partitions import Partition, num_groups, partitions, refines
from atrcnas.sampling.trees import Tree, cost_of

_BINS = 8  # of costs, in the tolerance
_TRIES = 100  # per tree; most draws are within the tolerance


def random_trees(
    num_tasks: int, costs: Sequence[float], target: float, tolerance: float, count: int, seed: int = 0
) -> list[Tree]:
    """Trees drawn evenly from all that cost about as much as another.

    Trees are counted by cost in bins, from the last point to the first, and drawn by these counts. A sum of binned costs
    is off by up to half a bin per point: those that turn out to miss the target are drawn again.

    Args:
        num_tasks: T, 1 to 7.
        costs: of one copy of the segment after each point.
        target: cost to meet.
        tolerance: largest deviation from it, as a share of it, above 0.
        count: how many; the same tree may come twice.
        seed: of the draws.

    Raises:
        ConfigError: no tree costs as much.
    """
    unit = tolerance * target / _BINS
    slack = _BINS + len(costs) // 2 + 1
    counted = _Counted(num_tasks, [cost / unit for cost in costs], round(target / unit) + slack)
    window = np.arange(max(round(target / unit) - slack, 0), round(target / unit) + slack + 1)
    chances, generator = counted.ways[0][0, window], np.random.default_rng(seed)
    found: list[Tree] = []
    for _ in range(_TRIES * count if chances.any() else 0):
        tree = counted.draw(int(generator.choice(window, p=chances / chances.sum())), generator)
        if abs(cost_of(tree, costs) - target) <= tolerance * target:
            found.append(tree)
        if len(found) == count:
            return found
    raise ConfigError(
        f"branches: expected trees of {num_tasks} tasks that cost {target:.6g} within {tolerance:.1%}, found none. "
        "Raise the tolerance."
    )


class _Counted:
    """How many trees there are by cost.

    Args:
        num_tasks: T.
        costs: in bins.
        high: largest binned cost that matters.

    Attributes:
        ways: for each point, and for the end, [K, high + 1]: after each partition at the point before, in how many
            ways a tree may go on, by the binned cost of what is left of it.
    """

    def __init__(self, num_tasks: int, costs: Sequence[float], high: int) -> None:
        self.partitions = partitions(num_tasks)
        below = [[refines(finer, coarser) for finer in self.partitions] for coarser in self.partitions]
        self.below = np.array(below, float)
        self.bins = [[round(num_groups(one) * cost) for one in self.partitions] for cost in costs]
        end = np.zeros((len(self.partitions), high + 1))
        end[:, 0] = 1.0
        self.ways: list[NDArray[np.float64]] = [end]
        for bins in reversed(self.bins):
            moved = np.zeros_like(end)
            for place, paid in enumerate(bins):
                if paid <= high:
                    moved[place, paid:] = self.ways[0][place, : high + 1 - paid]
            self.ways.insert(0, self.below @ moved)

    def draw(self, left: int, generator: np.random.Generator) -> Tree:
        """One of the trees whose binned costs add up to ``left``, each with the same chance."""
        at, tree = 0, list[Partition]()
        for bins, after in zip(self.bins, self.ways[1:], strict=True):
            further = [after[place, left - paid] if paid <= left else 0.0 for place, paid in enumerate(bins)]
            chances = self.below[at] * further
            at = int(generator.choice(len(chances), p=chances / chances.sum()))
            left -= bins[at]
            tree.append(self.partitions[at])
        return tuple(tree)
