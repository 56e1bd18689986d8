"""The results as tables: each search by its method, judged by the table of all configs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.main_table.rows import rows_of
from analysis.main_table.settings import SETTINGS, Setting
from analysis.main_table.systems import System, systems
from analysis.search_quality.judge import Judge, ranking_of_seeds, trained_with, training_seeds
from analysis.search_quality.tables import COLUMNS, SCORES, UNIT, scores_of
from atrcnas.contextbench.bench import Bench
from atrcnas.contextbench.designs import design
from atrcnas.contextbench.table import Pools, spell
from atrcnas.ground.errors import RunError
from atrcnas.runs.tables import read_table


def supernets(bench: Bench, path: Path, limit: float | None = None) -> pd.DataFrame:
    """Every search with a supernet: its row, ``cost`` in trainings, and what :class:`Judge` says of its answer.

    Raises:
        RunError: there is no row that says what a training costs.
    """
    rows = read_table(path, COLUMNS).drop_duplicates(["method", "seed"], keep="last")
    trainings = rows[rows["method"] == UNIT]
    if trainings.empty:
        raise RunError(
            f"{path}: expected a row '{UNIT}', got none. python -m analysis.search_quality.run --strategy {UNIT}"
        )
    searches, judge = rows[rows["method"] != UNIT].reset_index(drop=True), Judge(bench, limit=limit)
    searches["cost"] = searches["seconds"] / trainings["seconds"].median()
    return searches.join(pd.DataFrame([judge.of(config) for config in searches["config"]]))


def lookups(path: Path) -> pd.DataFrame:
    """Quantiles of the regret by method and cost."""
    found = pd.read_csv(path)
    regrets = found.select_dtypes(float).columns
    return found.assign(**(found[regrets].round(6) + 0.0))  # no -0.00


def references(bench: Bench, limit: float | None = None, named: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Regret and percentile, in the mean, of what needs no search, and of choosing by what one training seed says of all.

    ``named`` (name -> config) are judged too.
    """
    judge, seeds = Judge(bench, limit=limit), training_seeds(bench)
    found = {f"{name} everywhere": judge.of(config) for name, config in uniform(bench.pools).items()}
    found |= {name: judge.of(config) for name, config in (named or {}).items()}
    allowed = [config for config in judge.delta_m.index if judge.of(config)["over"] == 0]
    found["a config drawn evenly"] = pd.DataFrame([judge.of(config) for config in allowed]).mean().to_dict()
    tellers = {"by the rows of one seed": lambda seed: ranking_of_seeds(bench, [seed])}
    if bench.ranking()["measured"].notna().all():
        tellers = {"by one training of each": lambda seed: trained_with(bench, seed), **tellers}
    others = {seed: Judge(bench, [other for other in seeds if other != seed], limit) for seed in seeds}
    for name, told in tellers.items():
        best = [by_others.of(told(seed)[allowed].idxmax()) for seed, by_others in others.items()]
        found[f"the best of all {len(allowed)} configs {name}"] = pd.DataFrame(best).mean().to_dict()
    return pd.DataFrame(found).T


def of_main_table(bench: Bench, name: str) -> pd.DataFrame:
    """What :class:`Judge` says of the searches of a main table that had the pool and the network of this table.

    Args:
        bench: the table.
        name: its name.

    Returns:
        A row per search, with its ``system``; no row where there is no such search.
    """
    setting = SETTINGS[design(name).bundled]
    same = [known for known, system in systems(setting).items() if _searches(system, setting, bench)]
    rows = rows_of(setting)
    rows = rows[rows["system"].isin(same)].reset_index(drop=True)
    judge = Judge(bench)
    return rows[["system", "seed"]].join(pd.DataFrame([judge.of(config) for config in rows["config"]]))


def _searches(system: System, setting: Setting, bench: Bench) -> bool:
    if system.contexts is not None:
        return False
    own = setting.experiment().replace(**system.changes)
    alike = own.model == bench.experiment.model and own.search_space() == bench.experiment.search_space()
    return alike and not own.search.budget


def against_best(searches: pd.DataFrame) -> pd.DataFrame:
    """The mean regret of each method less that of the method with the least, by the seeds that both have.

    Returns:
        By method: ``more``, and ``p_value``, the chance of a difference as large if the sign of each seed's were drawn (a
        permutation test, Fisher 1935; every combination of signs is tried), ``corrected`` for the number of methods
        (Holm 1979).
    """
    by_seed = searches.pivot(index="seed", columns="method", values="regret")
    best = by_seed.mean().idxmin()
    found = {}
    for method in by_seed.columns.drop(best):
        more = (by_seed[method] - by_seed[best]).dropna().to_numpy()
        signs = np.array(list(itertools.product((-1, 1), repeat=len(more))))
        p_value = (np.abs((signs * more).mean(1)) >= abs(more.mean()) - 1e-12).mean()
        found[f"{method} against {best}"] = {"more": more.mean(), "p_value": p_value}
    table = pd.DataFrame(found).T
    ordered = table["p_value"].sort_values()
    corrected = (ordered * range(len(ordered), 0, -1)).cummax().clip(upper=1.0)
    return table.assign(corrected=corrected)


def trained(bench: Bench, searches: pd.DataFrame, limit: float | None = None) -> pd.DataFrame:
    """What the found configs had when they were trained as a whole, where the table has them, percent.

    Returns:
        By method: ``searches`` that found a config that was trained; ``delta_m`` of these, mean; the best ``rival`` of
        :func:`uniform` within the limit; mean (``over``) and standard deviation (``spread``) over the searches of what
        theirs is better by, each by the seeds that both were trained with.
    """
    own, judge, found = bench.contexts["delta_m.full"].unstack("seed"), Judge(bench, limit=limit), {}
    rivals = {name: config for name, config in uniform(bench.pools).items() if not judge.of(config)["over"]}
    rival = max(rivals, key=lambda name: own.loc[rivals[name]].mean())
    for method, rows in searches.groupby("method", sort=False):
        known = own.reindex([config for config in rows["config"] if config in own.index])
        over = known.sub(own.loc[rivals[rival]]).mean(axis=1)
        spread = {"over": over.mean(), "spread": over.std()}
        found[method] = {"searches": len(known), "delta_m": known.mean(axis=1).mean(), "rival": rival, **spread}
    return pd.DataFrame.from_dict(found, orient="index")


def uniform(pools: Pools) -> dict[str, str]:
    """The configs of one kind, by what they have: each kind by name, and regions of labels, whichever label a pair may use."""
    labels = ("tlabel", "slabel")
    offered = dict.fromkeys(kind for pool in pools.values() for kind in pool)
    alike = {"label" if kind in labels else kind: labels if kind in labels else (kind,) for kind in offered}
    return {
        name: spell(
            {pair: next((kind for kind in kinds if kind in pool), "none") for pair, pool in pools.items()}, pools
        )
        for name, kinds in alike.items()
    }


def at_limits(bench: Bench, shares: Sequence[float]) -> pd.DataFrame:
    """What there is to find within a latency.

    Args:
        bench: a table with the latency of every config.
        shares: of the configs that a limit lets through.

    Returns:
        By ``limit`` (times the baseline's latency): ``configs`` within it; Delta_m in percent of the ``best``, of the
        best with one ``kind`` everywhere (``name``: which), and of the ``median``.
    """
    delta_m, latency = Judge(bench).delta_m, bench.ranking()["latency_ratio"]
    names, found = {config: name for name, config in uniform(bench.pools).items()}, []
    for limit in latency.quantile(list(shares)):
        within = delta_m[latency.reindex(delta_m.index) <= limit]
        alike = within[within.index.isin(names)]
        kind = {"kind": alike.max(), "name": names[str(alike.idxmax())]}
        found.append({"limit": limit, "configs": len(within), "best": within.max(), **kind, "median": within.median()})
    return pd.DataFrame(found).set_index("limit")


def agreement(bench: Bench, path: Path) -> pd.DataFrame:
    """Kendall's tau between what configs score in a supernet and the table, by method, of what, and seed."""
    scores = read_table(scores_of(path), SCORES).drop_duplicates(["method", "seed", "config"])
    delta_m, found = Judge(bench).delta_m, []
    for (method, seed), rows in scores.groupby(["method", "seed"]):
        for place, target in enumerate(bench.tasks):
            of_row = rows[target].groupby(rows["config"].str.split("/").str[place]).mean()
            known = bench.gains_by_row(target).reindex(of_row.index)
            found.append((method, target, seed, of_row.corr(known, method="kendall")))
        whole = rows.set_index("config")["score"]
        found.append((method, "Delta_m", seed, whole.corr(delta_m.reindex(whole.index), method="kendall")))
    return pd.DataFrame(found, columns=["method", "of", "seed", "tau"]).dropna()
