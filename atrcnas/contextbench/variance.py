"""What the kind of each pair is worth to its target: shares of variance, and marginal values."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from atrcnas.contextbench.bench import Bench
from atrcnas.contextbench.linear import SEED, squares

REST = "rest"


def shares(bench: Bench, target: str, figure: str) -> pd.DataFrame:
    """Analysis of variance of a column over the kinds of the target's own pairs.

    Args:
        bench: rows of any number of configs and seeds, complete or not.
        target: whose pairs are the factors; the rows of other targets count as noise.
        figure: column, such as ``depth.loss.full``.

    Returns:
        By term (each pair, each two pairs together, the seed, the rest): ``share`` of the variance, ``freedom``
        (degrees of freedom) and ``ratio`` to the variance of the rest, the F statistic.

    Source: Fisher 1925; sums of squares of type II, in a complete design the classical ones.
    """
    rows = bench.contexts.reset_index(SEED)
    pairs = [str(pair) for pair in bench.pools if pair.target == target]
    mains = [(pair,) for pair in pairs] + [(SEED,)]
    terms = [*mains, *itertools.combinations(pairs, 2)]
    y = rows[figure].to_numpy(float)
    unexplained, left = squares(rows, terms, y)
    found = {}
    for term in terms:
        others = [other for other in terms if not set(term) <= set(other)]
        before, freedom_before = squares(rows, others, y)
        after, freedom_after = squares(rows, [*others, term], y)
        found[" x ".join(term)] = (before - after, freedom_before - freedom_after)
    found[REST] = (unexplained, left)
    table = pd.DataFrame.from_dict(found, orient="index", columns=["squares", "freedom"])
    noise = unexplained / left if left else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        table["share"] = (table["squares"] / ((y - y.mean()) ** 2).sum()).round(9).abs()
        table["ratio"] = table["squares"] / table["freedom"].replace(0, np.nan) / noise
    return table[["share", "freedom", "ratio"]]


def marginals(bench: Bench, target: str, length: str = "full") -> pd.DataFrame:
    """The mean gain of a target by the kind of each of its pairs, percent over the baseline.

    Returns:
        Pairs as rows, kinds as columns; NaN where a pair does not have the kind. Every row of kinds of the target
        counts alike, however often it was trained.
    """
    gains = bench.gains_by_row(target, length)
    pairs = [pair for pair in bench.pools if pair.target == target]
    kinds = pd.DataFrame([row.split(".") for row in gains.index], columns=list(map(str, pairs)), index=gains.index)
    order = list(dict.fromkeys(kind for pair in pairs for kind in bench.pools[pair]))
    return pd.DataFrame({pair: gains.groupby(kinds[pair]).mean() for pair in kinds}).T.reindex(columns=order)


def interaction(bench: Bench, figure: str = "delta_m.full") -> pd.Series:
    """How far a figure of whole configs is from what the rows of kinds of their targets add up to.

    Args:
        bench: rows of any number of configs and seeds, some configs with several.
        figure: column.

    Returns:
        ``noise``: standard deviation of a training whose config and seed are known; ``interaction``: that of what the
        rows do not add up to, over configs, noise taken off; ``ratio``: the F statistic of the lack of fit, with
        ``freedom`` degrees of it. NaN where no config has several seeds, or none adds anything to the rows.

    Source: Fisher 1922 (lack of fit); the variance of a random effect by its expected sum of squares.
    """
    rows = bench.contexts.reset_index()
    y = rows[figure].to_numpy(float)
    sums = [(target,) for target in bench.tasks] + [(SEED,)]
    unexplained, left = squares(rows, sums, y)
    pure, free = squares(rows, [("config",), (SEED,)], y)
    each = rows.groupby("config").ngroup().to_numpy()
    weight, _ = squares(rows, sums, np.eye(each.max() + 1)[each])
    freedom = left - free
    if not (free and freedom):
        return pd.Series({"noise": np.nan, "interaction": np.nan, "ratio": np.nan, "freedom": freedom})
    noise = pure / free
    excess = max(unexplained - pure - freedom * noise, 0.0)
    ratio = (unexplained - pure) / freedom / noise
    return pd.Series({"noise": noise**0.5, "interaction": (excess / weight) ** 0.5, "ratio": ratio, "freedom": freedom})
