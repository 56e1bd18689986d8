"""The searched networks against each rival that they can be asked to beat, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.main_table.latency import slowest
from analysis.main_table.rows import rows_of
from analysis.main_table.settings import Setting
from analysis.main_table.systems import (
    ASPP,
    BASELINE,
    BLOCKS,
    LATENCY,
    LATENCY_PAIRED,
    NEAR,
    RANDOM_CONFIGS,
    ROWS,
    WIDER_ASPP,
    System,
    kind_of,
    systems,
)

RIVALS = (ASPP, "deeper", "wider")
NEARLY = 1.3  # times the baseline's latency, the budget of NEAR
DRAWN_FROM = System("the pool of the random configs", changes={"space": "wide"})


def lines(setting: Setting) -> Iterator[str]:
    """The table."""
    by_seed = rows_of(setting).pivot(index="seed", columns="system", values="delta_m")
    yield "| | against | difference in Delta_m | better in |"
    yield "|---|---|---|---|"
    for name in [name for name in by_seed if name.startswith("searched")]:
        for rival, other in _rivals(name, by_seed, setting).items():
            found = (by_seed[name] - other).dropna()
            if len(found):
                yield f"| {name} | {rival} | {_difference(found)} | {_above(found, 0)} |"


def beside_aspp_heads(setting: Setting) -> Iterator[str]:
    """The networks that may cost what ASPP heads cost, beside these, seed by seed; costs are the largest of any seed."""
    rows = rows_of(setting)
    by_seed = rows.pivot(index="seed", columns="system", values="delta_m")
    adds = rows.groupby("system")["multiply_adds"].max() / setting.aspp_multiply_adds
    taken = slowest(setting, "onnxruntime")
    yield "| | difference in Delta_m | better in | by more than its own std in | multiply-adds | latency in ONNX Runtime |"
    yield "|---|---|---|---|---|---|"
    for name in (
        f"searched-wide-{setting.wide}",
        LATENCY,
        LATENCY_PAIRED,
        ROWS,
        BLOCKS,
        WIDER_ASPP.format(setting.wider_aspp),
    ):
        if name in by_seed and ASPP in by_seed:
            own = by_seed[name].dropna()
            found = (own - by_seed[ASPP]).dropna()
            time = f"{taken[name] / taken[ASPP]:.2f}x" if {name, ASPP} <= set(taken.index) else ""
            seeds = f"{_above(found, 0)} | {_above(found, own.std())}"
            yield f"| {name} | {_difference(found)} | {seeds} | {adds[name]:.2f}x | {time} |"


def _difference(by_seed: pd.Series) -> str:
    """Mean and standard deviation over seeds."""
    spread = f" ± {by_seed.std():.1f}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():+.1f}{spread}"


def _above(by_seed: pd.Series, least: float) -> str:
    """In how many seeds."""
    return f"{(by_seed > least).sum()} of {len(by_seed)} seeds"


def _rivals(name: str, by_seed: pd.DataFrame, setting: Setting) -> dict[str, pd.Series]:
    """Delta_m by seed: of one kind everywhere (the best), of other networks, of the median random config of the pool.

    Only kinds count that the search could have answered with: of its pool, at its widths, within its latency.
    """
    known, limit = systems(setting), _limits(setting).get(name)
    alike = [other for other in by_seed if _widths(known[other]) == _widths(known[name])]
    offered = _offered(setting, known[name])
    uniform = [other for other in alike if other.startswith("uniform-") and kind_of(other) in offered]
    if limit is not None:
        taken = slowest(setting, "onnxruntime").reindex(uniform)
        uniform = list(taken.index[taken <= limit])
    most = by_seed[uniform].count()
    best = [by_seed[most.index[most == most.max()]].mean().idxmax()] if uniform else []
    rivals = {other: by_seed[other] for other in [*best, *RIVALS] if other in by_seed}
    drawn = [other for other in alike if other.startswith("random-")]
    if len(drawn) == RANDOM_CONFIGS and limit is None and offered == _offered(setting, DRAWN_FROM):
        rivals["the median random config"] = pd.Series(by_seed[drawn].mean().median(), index=by_seed.index)
    return rivals


def _limits(setting: Setting) -> dict[str, float]:
    taken = slowest(setting, "onnxruntime")
    budgets = {**dict.fromkeys((LATENCY, LATENCY_PAIRED, ROWS), (ASPP, 1.0)), NEAR: (BASELINE, NEARLY)}
    return {name: times * taken[of] for name, (of, times) in budgets.items() if of in taken}


def _widths(system: System) -> object:
    return system.changes.get("model")


def _offered(setting: Setting, system: System) -> set[str]:
    experiment = setting.experiment().replace(**system.changes)
    return {kind for pool in experiment.search_space().pools(experiment.tasks).values() for kind in pool}
