"""The cost of every term of a search space, from networks that were measured whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from atrcnas.costs.table import BASE, CostTable, Pools, Term, terms, used
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair

Config = dict[Pair, str]
Group = tuple[str | int, ...]
# No term is free: with it, every change that leaves something out saves something.
LEAST = 1e-6
CANDIDATES = 200


def design(pools: Pools, num_labels: Mapping[str, int], seed: int, at_least: int = 0) -> list[Config]:
    """Configs from which the terms can be told apart, none twice.

    Each kind everywhere, no contexts at all, each kind of a pair alone once per shape, as many drawn ones, and any of
    :data:`CANDIDATES` drawn ones that no combination of these would predict.
    """
    kinds = dict.fromkeys(kind for pool in pools.values() for kind in pool)
    found = [{pair: kind if kind in pool else _least(pool) for pair, pool in pools.items()} for kind in kinds]
    if bare(pools) not in found:
        found.append(bare(pools))
    groups = groups_of(pools, num_labels)
    found += alone(pools, num_labels).values()
    found += draw(pools, max(len(found), at_least - len(found)), seed)
    candidates = draw(pools, CANDIDATES, seed + 1)
    counts = _counts([*found, *candidates], groups)
    rank = np.linalg.matrix_rank(counts[: len(found)])
    kept = list(range(len(found)))
    for place in range(len(found), len(counts)):
        if np.linalg.matrix_rank(counts[[*kept, place]]) > rank:
            rank += 1
            kept.append(place)
    every = [*found, *candidates]
    return list({tuple(every[place].items()): every[place] for place in kept}.values())


def bare(pools: Pools) -> Config:
    """No contexts at all, whether or not the pools allow it: what all costs count from."""
    return dict.fromkeys(pools, NONE)


def alone(pools: Pools, num_labels: Mapping[str, int]) -> dict[Group, Config]:
    """Configs with one kind of one pair and no other context, one for each shape of its parts."""
    groups = groups_of(pools, num_labels)
    single = {groups[term]: site for term, sites in terms(pools).items() for site in sites if len(sites) == 1}
    return {group: {**bare(pools), pair: kind} for group, (pair, kind) in single.items()}


def draw(pools: Pools, number: int, seed: int) -> list[Config]:
    """Random configs, from nearly no contexts (or, where a pair has to have one, the first of its pool) to all drawn."""
    generator = np.random.default_rng(seed)
    return [
        {
            pair: _least(pool) if generator.random() < share else pool[generator.integers(len(pool))]
            for pair, pool in pools.items()
        }
        for share in generator.random(number)
    ]


def _least(pool: Sequence[str]) -> str:
    return NONE if NONE in pool else pool[0]


def groups_of(pools: Pools, num_labels: Mapping[str, int]) -> dict[Term, Group]:
    """Terms whose groups are equal have parts of the same shapes."""
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
    groups = groups_of(pools, num_labels)
    counts, order = _counts(configs, groups), list(dict.fromkeys(groups.values()))
    costs = {}
    for measure, value in values.items():
        base, *each = _solve(counts, np.asarray(value, np.float64)).tolist()
        of = dict(zip(order, each, strict=True))
        costs[measure] = {BASE: base, **{term.name: max(of[group], LEAST * base) for term, group in groups.items()}}
    return CostTable(costs)


def _counts(configs: Sequence[Config], groups: Mapping[Term, Group]) -> npt.NDArray[np.float64]:
    """[configs, 1 + groups]: a one, and how many terms of each group a config pays for."""
    column = {group: place for place, group in enumerate(dict.fromkeys(groups.values()), start=1)}
    counts = np.zeros((len(configs), 1 + len(column)))
    counts[:, 0] = 1
    for row, config in enumerate(configs):
        for term in used(config):
            counts[row, column[groups[term]]] += 1
    return counts


def _solve(counts: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scale = float(values.mean())
    found: npt.NDArray[np.float64] = np.asarray(nnls(counts, values / scale)[0]) * scale
    return found
