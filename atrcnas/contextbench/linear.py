"""Linear models of trained rows: what is left of a figure, and what the rows of other targets add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEED = "seed"
Terms = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Spillover:
    """How far the rows of kinds of other targets move a target's gain, which they reach through the weights that tasks share.

    Attributes:
        effect: standard deviation, over trainings, of what they add, noise taken off; in the unit of the gain.
        ratio: the F statistic of what they add.
        freedom: its degrees.
        by_row: other target -> what each of its rows adds, shrunk by ``1 - 1 / ratio``; the rows' mean is 0. Empty where
            the trained configs cannot tell them from the target's own rows, as in a factored design.
    """

    effect: float = np.nan
    ratio: float = np.nan
    freedom: int = 0
    by_row: Mapping[str, pd.Series] = field(default_factory=dict)


def spillover(rows: pd.DataFrame, target: str, others: Sequence[str], gain: str) -> Spillover:
    """Fit the gain of a target by its own row, those of the other targets and the seed, all of which add up.

    Args:
        rows: with a column for each target's row of kinds and one for the seed.
        target: whose gain it is.
        others: the other targets.
        gain: its column.

    Source: James and Stein 1961 (the shrinkage, as a factor for all rows alike).
    """
    rows = rows.dropna(subset=gain)
    if rows.empty or not others:
        return Spillover()
    y, own, added = rows[gain].to_numpy(float), [(target,), (SEED,)], [(name,) for name in others]
    before, left = squares(rows, own, y)
    after, free = squares(rows, [*own, *added], y)
    freedom = left - free
    if not free or not freedom or freedom < sum(rows[name].nunique() - 1 for name in others):
        return Spillover(freedom=freedom)
    noise = after / free
    ratio = (before - after) / freedom / noise if noise else np.inf
    shrunk = max(0.0, 1 - 1 / ratio) if ratio else 0.0
    solution = np.linalg.lstsq(_design(rows, [*added, *own]), y, rcond=None)[0]
    by_row, first = {}, 1  # after the mean
    for name in others:
        levels = list(rows.groupby(name).groups)
        effects = pd.Series(solution[first : first + len(levels)], index=levels)
        by_row[name], first = shrunk * (effects - effects.mean()), first + len(levels)
    return Spillover((max(before - after - freedom * noise, 0.0) / len(y)) ** 0.5, ratio, freedom, by_row)


def squares(rows: pd.DataFrame, terms: Terms, y: NDArray[np.float64]) -> tuple[float, int]:
    """Sum of squares that a linear model of ``terms`` leaves of ``y``, and its degrees of freedom."""
    design = _design(rows, terms)
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ solution) ** 2).sum()), len(y) - int(rank)


def _design(rows: pd.DataFrame, terms: Terms) -> NDArray[np.float64]:
    """A column for the mean and one for each level of each term, the levels in order."""
    blocks = [np.ones((len(rows), 1))]
    for term in terms:
        groups = rows.groupby(list(term)).ngroup().to_numpy()
        blocks.append(np.eye(groups.max() + 1)[groups])
    return np.hstack(blocks)
