"""The config that is liked best within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atrcnas.costs.table import CostTable
from atrcnas.spec.pairs import Pair

Limits = Mapping[str, float]


def excess(table: CostTable, limits: Limits, kinds: Mapping[Pair, str]) -> float:
    """By how much a config is over its budget: the sum over measures of what is over, as a share of the limit."""
    return sum(max(table.predict(kinds, measure) / limit - 1, 0.0) for measure, limit in limits.items())


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
