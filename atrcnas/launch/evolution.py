"""Regularized evolution: the winner of a small contest has a child with one kind changed, and the oldest dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from atrcnas.ground.scores import comparable
from atrcnas.launch.unseen import Row, unseen


class Evolution:
    """A population of rows of kinds.

    Source: Real et al., AAAI 2019.

    Args:
        pools: kinds of each pair.
        population: rows alive.
        generator: of the mutations.
    """

    def __init__(self, pools: Mapping[str, Row], population: int, generator: np.random.Generator) -> None:
        self._pools, self._population, self._generator = list(pools.values()), population, generator
        self._alive: deque[tuple[float, Row]] = deque(maxlen=population)
        self._seen = set[Row]()

    def propose(self) -> Row:
        """A row not proposed before, if one is found."""
        return unseen(self._child, self._seen)

    def hear(self, row: Row, score: float) -> None:
        """Let a row live, which may be another than was proposed; higher scores are better, and NaN is the worst."""
        self._alive.append((comparable(score), row))

    def _child(self) -> Row:
        """The best of a quarter of the population with one kind changed; evenly drawn until there is a population."""
        if len(self._alive) < self._population:
            return tuple(self._any(pool) for pool in self._pools)
        rivals = self._generator.choice(self._population, max(self._population // 4, 1), replace=False)
        row = list(max(self._alive[place] for place in rivals)[1])
        free = [place for place, pool in enumerate(self._pools) if len(pool) > 1]
        if free:
            place = free[self._generator.integers(len(free))]
            row[place] = self._any(tuple(kind for kind in self._pools[place] if kind != row[place]))
        return tuple(row)

    def _any(self, pool: Row) -> str:
        return pool[self._generator.integers(len(pool))]
