"""The cost of every term of a search space, from networks that were measured whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from atrcnas.costs.table import BASE, CostTable, Pools, Term, terms, used
from atrcnas.spec.pairs import Pair

Config = dict[Pair, str]
Group = tuple[str | int, ...]
# No term is free: with it, every change that leaves something out saves something.
LEAST = 1e-6


def design(pools: Pools, num_labels: Mapping[str, int], seed: int, at_least: int = 0) -> list[Config]:
    """Configs from which the terms can be told apart, none twice.

    Each kind everywhere, each kind of a pair alone once per shape, then as many drawn ones.
    """
    bare: Config = {pair: pool[0] for pair, pool in pools.items()}
    kinds = dict.fromkeys(kind for pool in pools.values() for kind in pool)
    found = [{pair: kind if kind in pool else pool[0] for pair, pool in pools.items()} for kind in kinds]
    shapes = _groups(pools, num_labels)
    alone = {shapes[term]: site for term, sites in terms(pools).items() for site in sites if len(sites) == 1}
    found += [{**bare, pair: kind} for pair, kind in alone.values()]
    found += draw(pools, max(len(found), at_least - len(found)), seed)
    return list({tuple(config.items()): config for config in found}.values())


def draw(pools: Pools, number: int, seed: int) -> list[Config]:
    """Random configs, from nearly all first kinds to none of them."""
    generator = np.random.default_rng(seed)
    return [
        {
            pair: pool[0] if generator.random() < share else pool[generator.integers(len(pool))]
            for pair, pool in pools.items()
        }
        for share in generator.random(number)
    ]


def _groups(pools: Pools, num_labels: Mapping[str, int]) -> dict[Term, Group]:
    """Terms of equal groups have parts of the same shapes."""
    return {term: (term.sort, *(num_labels[task] for task in term.labels)) for term in terms(pools)}


def fit(
    pools: Pools, num_labels: Mapping[str, int], configs: Sequence[Config], values: Mapping[str, Sequence[float]]
) -> CostTable:
    """Non-negative least squares, with one unknown for all terms whose parts have the same shapes.

    Args:
        pools: of the search space.
        num_labels: channels of each task's label map.
        configs: that were measured.
        values: measure -> its value for each config.
    """
    groups = _groups(pools, num_labels)
    column = {group: place for place, group in enumerate(dict.fromkeys(groups.values()), start=1)}
    counts = np.zeros((len(configs), 1 + len(column)))
    counts[:, 0] = 1
    for row, config in enumerate(configs):
        for term in used(config):
            counts[row, column[groups[term]]] += 1
    costs = {}
    for measure, value in values.items():
        base, *each = _solve(counts, np.asarray(value, np.float64)).tolist()
        costs[measure] = {BASE: base}
        costs[measure] |= {term.name: max(each[column[group] - 1], LEAST * base) for term, group in groups.items()}
    return CostTable(costs)


def _solve(counts: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scale = values.mean()
    found: npt.NDArray[np.float64] = nnls(counts, values / scale)[0]
    return found * scale

