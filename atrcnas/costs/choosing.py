"""The config that is liked best within a budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from atrcnas.costs.table import CostTable, Pools
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.pairs import Pair

Config = dict[Pair, str]
Liking = Mapping[Pair, Mapping[str, float]]
Over = Callable[[Mapping[Pair, str]], float]


@dataclass(frozen=True)
class Limits:
    """What a chosen network may cost.

    Attributes:
        table: of the search space. A network must be within a limit with the table's margin.
        largest: measure -> limit, > 0.
    """

    table: CostTable
    largest: Mapping[str, float]

    @property
    def allowed(self) -> dict[str, float]:
        """Measure -> what a config may cost as predicted."""
        return {measure: limit / (1 + self.table.margin.get(measure, 0.0)) for measure, limit in self.largest.items()}

    def excess(self, kinds: Mapping[Pair, str]) -> float:
        """By how much a config is over: the sum over measures of what is over, as a share of the limit."""
        return sum(max(share - 1, 0.0) for share in self.shares(kinds).values())

    def shares(self, kinds: Mapping[Pair, str]) -> dict[str, float]:
        """Measure -> cost of a config, as a share of its limit."""
        return {measure: self.table.predict(kinds, measure) / limit for measure, limit in self.allowed.items()}

    def nearest(self, kinds: Mapping[Pair, str], pools: Pools) -> dict[Pair, str]:
        """The config itself, or one within the limits that differs from it in few pairs.

        Which of the pairs with equal costs give way is drawn, the same for the same config.
        """
        draw = random.Random(" ".join(kinds[pair] for pair in pools))
        liking = {pair: {**dict.fromkeys(pool, 0.0), kinds[pair]: draw.uniform(1, 1.5)} for pair, pool in pools.items()}
        return affordable(liking, self.excess)

    def least(self, liking: Liking) -> float:
        """The least that the sum of a config's shares was found to be."""
        return self._share(affordable(liking, self._share))

    def room(self, pools: Pools) -> dict[str, int]:
        """Kind -> how many pairs may have it at once, the others having what costs the least."""
        cheapest = {pair: min(pool, key=lambda kind: self._share({pair: kind})) for pair, pool in pools.items()}
        found: dict[str, int] = {}
        for kind in dict.fromkeys(kind for pool in pools.values() for kind in pool):
            config, offering = dict(cheapest), [pair for pair, pool in pools.items() if kind in pool]
            for pair in sorted(offering, key=lambda pair: self._share({**cheapest, pair: kind})):
                if self.excess({**config, pair: kind}) == 0:
                    config[pair] = kind
            found[kind] = sum(config[pair] == kind for pair in offering)
        return found

    def _share(self, kinds: Mapping[Pair, str]) -> float:
        return sum(self.shares(kinds).values())

    def check(self, pools: Pools, key: str = "search.budget.") -> None:
        """Refuse limits that no config keeps to; ``key`` is what their measures are asked for by.

        Raises:
            ConfigError: naming the measure and its least cost.
        """
        even = {pair: dict.fromkeys(pool, 0.0) for pair, pool in pools.items()}
        if self.excess(affordable(even, self.excess)) == 0:
            return
        for measure, limit in self.largest.items():
            share = Limits(self.table, {measure: limit}).least(even)
            if share > 1:
                raise ConfigError(
                    f"{key}{measure}: expected at least {share * limit:.4g}, which the network costs with the cheapest "
                    f"contexts, got {limit:g}. Raise it, or make the network smaller."
                )
        raise ConfigError(
            f"{key}{', '.join(self.largest)}: found no config within all limits, got {dict(self.largest)}. Raise one."
        )


def affordable(liking: Liking, over: Over) -> Config:
    """The config that is liked best among those within the budget, found by changes of one pair at a time.

    From what is liked best it takes the change that costs the least liking for what it saves until the budget is met,
    and then gives back what still fits. What several pairs share is saved only when the last of them gives it up: where
    no single change saves anything more, the same is tried from each kind in all pairs that may have it.

    Args:
        liking: how much each kind is wanted for each pair, such as log probabilities.
        over: how far a config is over the budget, 0 within it.

    Returns:
        A config within the budget; the one that is the least over it if none was found.
    """
    tried = _saved({pair: max(row, key=row.__getitem__) for pair, row in liking.items()}, liking, over)
    if over(tried) == 0:
        return _given_back(tried, liking, over)
    kinds = dict.fromkeys(kind for row in liking.values() for kind in row)
    uniform = [{pair: kind if kind in row else tried[pair] for pair, row in liking.items()} for kind in kinds]
    found = [tried, *(_saved(config, liking, over) for config in uniform)]
    if within := [_given_back(config, liking, over) for config in found if over(config) == 0]:
        return max(within, key=lambda config: sum(liking[pair][kind] for pair, kind in config.items()))
    return min(found, key=over)


def _saved(kinds: Config, liking: Liking, over: Over) -> Config:
    """Single changes to what is liked less, until the budget is met or none saves anything more."""
    while (now := over(kinds)) > 0:
        changes = _changes(kinds, liking, wanted=False)
        saving = [(loss / (now - after), other) for loss, other in changes if (after := over(other)) < now]
        if not saving:
            break
        kinds = max(saving, key=lambda entry: entry[0])[1]
    return kinds


def _given_back(kinds: Config, liking: Liking, over: Over) -> Config:
    """Single changes to what is liked more, as long as they fit."""
    while fitting := [entry for entry in _changes(kinds, liking, wanted=True) if over(entry[1]) == 0]:
        kinds = max(fitting, key=lambda entry: entry[0])[1]
    return kinds


def _changes(kinds: Config, liking: Liking, wanted: bool) -> list[tuple[float, Config]]:
    """Each config with another kind of one pair, which is liked more (``wanted``) or not, and by how much."""
    return [
        (row[kind] - row[kinds[pair]], {**kinds, pair: kind})
        for pair, row in liking.items()
        for kind in row
        if kind != kinds[pair] and (row[kind] > row[kinds[pair]]) == wanted
    ]
