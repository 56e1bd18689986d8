"""Each target's row of kinds is chosen by itself, and the best rows are joined.

What a target predicts depends on its own pairs alone. So in every trial each target tries a row of its own, and one pass
over the data scores as many rows as there are targets: where each target has R rows, R trials cover all R^T configs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping

import numpy as np

from atrcnas.costs.choosing import Limits
from atrcnas.costs.front import front
from atrcnas.launch.ask_tell import Pools, Trial, Trials
from atrcnas.launch.evolution import Evolution
from atrcnas.launch.unseen import Row
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import TrialsSpec


def rows(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Try every row of a target that has fewer than there are trials, else evolve them; last, the best rows joined.

    Differs: from evolution of configs by one population per target.
    """
    targets = _targets(pools, trials.left - 1, options.population, seed)
    while trials.left > 1 and not all(target.done for target in targets):
        _hear(targets, trials.submit(_joined(target.proposal() for target in targets)))
    _hear(targets, trials.finish())
    trials.submit(_best(targets, trials.limits))


def _best(targets: list[_Target], limits: Limits | None) -> dict[str, str]:
    """The best row of each target, joined; with limits, of the joined rows within them."""
    if limits is None:
        return _joined(target.named(target.best) for target in targets)
    points = front([target.scored() for target in targets], lambda kinds: sum(limits.shares(kinds).values()))
    allowed = [point for point in points if limits.excess(point.kinds) == 0]
    kinds = max(allowed, key=lambda point: point.score).kinds if allowed else {}
    return {str(pair): kind for pair, kind in kinds.items()} or _joined(target.named(target.best) for target in targets)


def _targets(pools: Pools, number: int, population: int, seed: int) -> list[_Target]:
    grouped: dict[str, dict[str, Row]] = {}
    for pair, pool in pools.items():
        grouped.setdefault(Pair.parse(pair).target, {})[pair] = pool
    return [
        _Target(name, own, number, population, np.random.default_rng((seed, place)))
        for place, (name, own) in enumerate(grouped.items())
    ]


def _joined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {pair: kind for part in parts for pair, kind in part.items()}


def _hear(targets: list[_Target], trials: list[Trial]) -> None:
    for trial in trials:
        for target in targets:
            target.hear(trial)


class _Target:
    """The rows of one target: what to try next, and the best so far.

    Args:
        name: of the task.
        pools: kinds of each of its pairs, at all levels.
        number: rows that can be tried.
        population: rows alive, where they are too many to try all.
        generator: of the order of the rows, or of the mutations.
    """

    def __init__(
        self, name: str, pools: Mapping[str, Row], number: int, population: int, generator: np.random.Generator
    ) -> None:
        self.name, self.pools = name, dict(pools)
        self.waiting: list[Row] | None = None
        if math.prod(map(len, pools.values())) <= number:
            everything = list(itertools.product(*pools.values()))
            self.waiting = [everything[place] for place in generator.permutation(len(everything))]
        self.best: Row = tuple(pool[0] for pool in pools.values())
        self.best_score = -math.inf
        self.evolution = Evolution(pools, population, generator)
        self.heard: dict[Row, float] = {}

    @property
    def done(self) -> bool:
        """Whether every row has been tried."""
        return self.waiting == []

    def proposal(self) -> dict[str, str]:
        """The next row; the best so far once all have been tried."""
        if self.waiting is not None:
            return self.named(self.waiting.pop() if self.waiting else self.best)
        return self.named(self.evolution.propose())

    def named(self, row: Row) -> dict[str, str]:
        """Kind per pair."""
        return dict(zip(self.pools, row, strict=True))

    def scored(self) -> list[tuple[dict[Pair, str], float]]:
        """Every row that was tried, with its score."""
        return [
            ({Pair.parse(pair): kind for pair, kind in self.named(row).items()}, s) for row, s in self.heard.items()
        ]

    def hear(self, trial: Trial) -> None:
        """Learn what this target's row of a trial scored."""
        row, score = tuple(trial.sample[pair] for pair in self.pools), trial.by_target[self.name]
        self.evolution.hear(row, score)
        self.heard[row] = score
        if score > self.best_score:
            self.best, self.best_score = row, score
