"""The searched networks against each rival that they can be asked to beat, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    NEAR_PAIRED,
    RANDOM,
    RANDOM_CONFIGS,
    RANDOM_WITHIN,
    ROWS,
    WIDER_ASPP,
    System,
    fitting_name,
    group_of,
    kind_of,
    systems,
)

RIVALS = (ASPP, "deeper", "wider")
NEARLY = 1.3  # times the baseline's latency, the budget of NEAR and NEAR_PAIRED
DRAWN_FROM = System("the pool of the random configs", changes={"space": "wide"})


def lines(setting: Setting) -> Iterator[str]:
    """The table."""
    by_seed = rows_of(setting).pivot(index="seed", columns="system", values="delta_m")
    known, taken = systems(setting), slowest(setting, "onnxruntime")
    yield "| | against | difference in Delta_m | better in |"
    yield "|---|---|---|---|"
    for name in [name for name in by_seed if name.startswith("searched")]:
        for rival, other in _rivals(name, by_seed, setting, known, taken).items():
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
        *(fitting_name(*widths) for widths in setting.fitting),
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


def _rivals(
    name: str, by_seed: pd.DataFrame, setting: Setting, known: Mapping[str, System], taken: pd.Series
) -> dict[str, pd.Series]:
    """Delta_m by seed: of one kind everywhere (the best), of other networks, of the median random config of the pool.

    The best of the kinds that the search could have answered with (of its pool, at its widths, within its latency), and
    where there is a limit the best of any kind and widths within it.
    """
    limit = _limits(taken).get(name)
    alike = [other for other in by_seed if _widths(known[other]) == _widths(known[name])]
    offered = _offered(setting, known[name])
    uniform = uniform_within(by_seed, taken, limit)
    own = [other for other in uniform if other in alike and kind_of(other) in offered]
    best = [*best_of(by_seed[own]), *best_of(by_seed[[] if limit is None else uniform])]
    rivals = {other: by_seed[other] for other in [*best, *RIVALS] if other in by_seed}
    group, says = (RANDOM, "") if limit is None else (RANDOM_WITHIN, " within the latency")
    drawn = [other for other in alike if group_of(other) == group]
    if len(drawn) == RANDOM_CONFIGS and offered == _offered(setting, DRAWN_FROM):
        median = by_seed[drawn].mean().median()
        rivals[f"the median random config{says}"] = pd.Series(median, index=by_seed.index)
    return rivals


def uniform_within(by_seed: pd.DataFrame, taken: pd.Series, limit: float | None) -> list[str]:
    """The systems with one kind everywhere, of any widths, that take at most so long; None: all."""
    uniform = [name for name in by_seed if name.startswith("uniform-")]
    return uniform if limit is None else [name for name in uniform if taken.get(name, float("inf")) <= limit]


def best_of(by_seed: pd.DataFrame) -> list[str]:
    """The system with the best mean of those with the most seeds; none of none."""
    most = by_seed.count()
    return [] if most.empty else [str(by_seed[most.index[most == most.max()]].mean().idxmax())]


def _limits(taken: pd.Series) -> dict[str, float]:
    of_aspp = dict.fromkeys((LATENCY, LATENCY_PAIRED, ROWS), (ASPP, 1.0))
    budgets = {**of_aspp, **dict.fromkeys((NEAR, NEAR_PAIRED), (BASELINE, NEARLY))}
    return {name: times * taken[of] for name, (of, times) in budgets.items() if of in taken}


def _widths(system: System) -> object:
    return system.changes.get("model")


def _offered(setting: Setting, system: System) -> set[str]:
    experiment = setting.experiment().replace(**system.changes)
    return {kind for pool in experiment.search_space().pools(experiment.tasks).values() for kind in pool}
