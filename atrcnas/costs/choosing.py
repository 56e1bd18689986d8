"""The config that is liked best within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from atrcnas.costs.table import CostTable, Pools
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.pairs import Pair


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
        """The config itself, or one within the limits that differs from it in few pairs."""
        liking = {pair: {kind: float(kind == kinds[pair]) for kind in pool} for pair, pool in pools.items()}
        return affordable(liking, self.excess)

    def check(self, pools: Pools, key: str = "search.budget.") -> None:
        """Refuse limits that no config keeps to; ``key`` is what their measures are asked for by.

        Raises:
            ConfigError: naming the measure and its least cost.
        """
        even = {pair: dict.fromkeys(pool, 0.0) for pair, pool in pools.items()}
        cheapest = affordable(even, lambda kinds: sum(self.shares(kinds).values()))
        for measure, share in self.shares(cheapest).items():
            limit = self.largest[measure]
            if share > 1:
                raise ConfigError(
                    f"{key}{measure}: expected at least {share * limit:.4g}, which the network costs with the cheapest "
                    f"contexts, got {limit:g}. Raise it, or make the network smaller."
                )


def affordable(
    liking: Mapping[Pair, Mapping[str, float]], over: Callable[[Mapping[Pair, str]], float]
) -> dict[Pair, str]:
    """The config that is liked best among those within the budget, found by changes of one pair at a time.

    From what is liked best it takes the change that costs the least liking for what it saves until the budget is met,
    and then gives back what still fits.

    Args:
        liking: how much each kind is wanted for each pair, such as log probabilities.
        over: how far a config is over the budget, 0 within it.

    Returns:
        A config within the budget; the last one tried if no single change saves anything more.
    """
    kinds = {pair: max(row, key=row.__getitem__) for pair, row in liking.items()}

    def changes(wanted: bool) -> list[tuple[float, dict[Pair, str]]]:
        return [
            (row[kind] - row[kinds[pair]], {**kinds, pair: kind})
            for pair, row in liking.items()
            for kind in row
            if kind != kinds[pair] and (row[kind] > row[kinds[pair]]) == wanted
        ]

    while (now := over(kinds)) > 0:
        saving = [(loss / (now - after), other) for loss, other in changes(False) if (after := over(other)) < now]
        if not saving:
            return kinds
        kinds = max(saving, key=lambda entry: entry[0])[1]
    while fitting := [(gain, other) for gain, other in changes(True) if over(other) == 0]:
        kinds = max(fitting, key=lambda entry: entry[0])[1]
    return kinds
