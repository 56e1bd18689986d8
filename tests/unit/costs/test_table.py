"""Costs: terms that are shared are paid for once, a fit finds what was put in, a budget is kept."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from atrcnas.costs.choosing import Limits, affordable
from atrcnas.costs.fitting import design, draw, fit
from atrcnas.costs.front import front
from atrcnas.costs.table import BASE, CostTable, terms, used
from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.spec.pairs import Pair, all_pairs

LABELS = {"a": 5, "b": 7}
POOLS = {
    pair: ("none", "global", "local", "tlabel") + (() if pair.on_diagonal else ("slabel",))
    for pair in all_pairs(["a", "b"], [4])
}
AA, AB, BA, BB = POOLS


def planted(seed: int = 0) -> CostTable:
    """Costs that are equal for terms of equal shapes."""
    generator = np.random.default_rng(seed)
    shapes: dict[tuple[object, ...], float] = {}
    # What a source has by its own label map is a small part of a context's cost; drawn last.
    for of_source in (False, True):
        for term in terms(POOLS):
            if ("of a source" in term.sort) == of_source:
                cost = generator.uniform(1, 3)
                shapes[term.sort, *(LABELS[task] for task in term.labels)] = 0.1 * cost if of_source else cost
    costs = {term.name: shapes[(term.sort, *(LABELS[task] for task in term.labels))] for term in terms(POOLS)}
    return CostTable({measure: {BASE: 20.0, **costs} for measure in ("latency_ms", "multiply_adds", "parameters")})


def every_config() -> list[dict[Pair, str]]:
    return [dict(zip(POOLS, kinds, strict=True)) for kinds in itertools.product(*POOLS.values())]


def test_a_label_branch_that_two_kinds_share_is_paid_for_once() -> None:
    alone = {AA: "tlabel", AB: "none", BA: "none", BB: "none"}
    names = {term.name for term in used(alone)}
    assert names == {"a<-a: tlabel", "tlabel at level 4", "contexts of a at level 4", "labels of a at level 4"}
    both = {term.name for term in used({**alone, BA: "slabel"})} - names
    # Its label map is that of a.
    assert both == {"b<-a: slabel", "slabel at level 4", "slabel of a at level 4", "contexts of b at level 4"}


def test_two_kinds_of_a_pair_are_both_paid_for() -> None:
    table = planted()
    one, two = ({AA: kind, AB: "none", BA: "none", BB: "none"} for kind in ("local", "global+local"))
    column = table.costs["latency_ms"]
    more = column["a<-a: global"] + column["global at level 4"]
    assert table.predict(two, "latency_ms") - table.predict(one, "latency_ms") == pytest.approx(more)


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_predicts_every_config_of_costs_that_are_sums(seed: int) -> None:
    truth = planted(seed)
    configs = design(POOLS, LABELS, seed)
    found = fit(POOLS, LABELS, configs, {"latency_ms": [truth.predict(config, "latency_ms") for config in configs]})
    for config in every_config():
        assert found.predict(config, "latency_ms") == pytest.approx(truth.predict(config, "latency_ms"), rel=1e-3)


def test_a_fit_of_noisy_times_is_closer_than_the_noise() -> None:
    truth, generator = planted(), np.random.default_rng(0)
    configs = design(POOLS, LABELS, 0, at_least=200)
    noisy = [truth.predict(config, "latency_ms") * generator.normal(1, 0.05) for config in configs]
    found = fit(POOLS, LABELS, configs, {"latency_ms": noisy})
    errors = [
        abs(found.predict(config, "latency_ms") / truth.predict(config, "latency_ms") - 1)
        for config in draw(POOLS, 100, 5)
    ]
    assert np.median(errors) < 0.02
    assert min(found.costs["latency_ms"].values()) > 0


def test_the_table_is_read_back_and_one_of_another_space_is_refused(tmp_path: Path) -> None:
    table = planted()
    table.save(tmp_path / "costs.csv")
    read = CostTable.load(tmp_path / "costs.csv", POOLS)
    for config in every_config()[::50]:
        assert read.predict(config, "latency_ms") == pytest.approx(table.predict(config, "latency_ms"), rel=1e-5)
    with pytest.raises(RunError, match=r"costs.csv: expected a cost for 'a<-a: mti', got none. Run `atrcnas costs"):
        CostTable.load(tmp_path / "costs.csv", {AA: ("none", "mti")})
    text = (tmp_path / "costs.csv").read_text().replace("20", "-20", 1)
    (tmp_path / "costs.csv").write_text(text)
    with pytest.raises(RunError, match="expected costs of at least 0 for 'base'"):
        CostTable.load(tmp_path / "costs.csv", POOLS)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_affordable_keeps_to_the_budget_and_is_nearly_the_best_there_is(seed: int) -> None:
    generator = np.random.default_rng(seed)
    limits = Limits(planted(seed), {"latency_ms": generator.uniform(21, 50)})
    liking = {
        pair: dict(zip(pool, np.log(generator.dirichlet(np.ones(len(pool)))), strict=True))
        for pair, pool in POOLS.items()
    }

    def total(kinds: dict[Pair, str]) -> float:
        return float(sum(liking[pair][kind] for pair, kind in kinds.items()))

    found = affordable(liking, limits.excess)
    allowed = [config for config in every_config() if limits.excess(config) == 0]
    ranked = sorted(map(total, allowed), reverse=True)
    assert limits.excess(found) == 0
    assert ranked.index(pytest.approx(total(found))) <= 0.1 * len(every_config())
    assert max(map(total, allowed)) - total(found) < 4


@pytest.mark.parametrize("pool", [("tlabel", "wide"), ("wide", "tlabel")])
def test_what_pairs_share_is_saved_though_no_single_change_saves_anything(pool: tuple[str, str]) -> None:
    """With label regions everywhere, a pair that changes pays for `wide`, and the label branch is still there."""
    pools = dict.fromkeys(all_pairs(["a", "b"], [4]), pool)
    costs = {BASE: 10.0, **dict.fromkeys((term.name for term in terms(pools)), 0.0)}
    costs |= {"labels of a at level 4": 5.0, "labels of b at level 4": 5.0, "wide at level 4": 1.0}
    costs |= {f"{pair}: wide": 1.5 for pair in pools}
    limits = Limits(CostTable({"latency_ms": costs}), {"latency_ms": 17.5})
    limits.check(pools)
    assert limits.nearest(dict.fromkeys(pools, "tlabel"), pools) == dict.fromkeys(pools, "wide")
    with pytest.raises(ConfigError, match="expected at least 17, which the network costs with the cheapest contexts"):
        Limits(limits.table, {"latency_ms": 16.0}).check(pools)


def test_limits_that_exclude_each_other_are_refused() -> None:
    pools = dict.fromkeys(all_pairs(["a", "b"], [4]), ("local", "global"))
    costs = {
        measure: {BASE: 10.0, **{term.name: float(term.name.endswith(f": {dear}")) for term in terms(pools)}}
        for measure, dear in (("multiply_adds", "local"), ("parameters", "global"))
    }
    table = CostTable(costs)
    Limits(table, {"multiply_adds": 12.0, "parameters": 12.0}).check(pools)
    with pytest.raises(ConfigError, match="multiply_adds, parameters: found no config within all limits"):
        Limits(table, {"multiply_adds": 11.0, "parameters": 12.0}).check(pools)


def test_costs_count_from_the_network_without_contexts_whatever_the_pools() -> None:
    pools = {AA: ("mti",), AB: ("global", "none"), BA: ("none", "global"), BB: ("mti", "local")}
    truth = {BASE: 20.0, **{term.name: 1.0 + len(term.name) for term in terms(pools)}}
    table = CostTable({"latency_ms": truth})
    configs = design(pools, LABELS, 0)
    found = fit(pools, LABELS, configs, {"latency_ms": [table.predict(config, "latency_ms") for config in configs]})
    assert found.costs["latency_ms"][BASE] == pytest.approx(20)
    assert all(set(config.values()) - {"none"} for config in draw(pools, 20, 0)), "a pair without `none` has a context"


def test_a_limit_is_kept_with_the_margin_of_the_table(tmp_path: Path) -> None:
    exact = planted()
    dearest = max(every_config(), key=lambda config: exact.predict(config, "latency_ms"))
    limit = 1.04 * exact.predict(dearest, "latency_ms")
    CostTable(exact.costs, {"latency_ms": 0.05}).save(tmp_path / "costs.csv")
    unsure = CostTable.load(tmp_path / "costs.csv", POOLS)
    assert Limits(exact, {"latency_ms": limit}).excess(dearest) == 0
    assert Limits(unsure, {"latency_ms": limit}).excess(dearest) == pytest.approx(1.05 / 1.04 - 1, rel=1e-4)
    with pytest.raises(ConfigError, match="expected at least 21,"):
        Limits(unsure, {"latency_ms": 20.5}).check(POOLS)


def test_without_need_nothing_is_changed() -> None:
    limits = Limits(planted(), {"latency_ms": 1000.0})
    for config in every_config()[::37]:
        assert limits.nearest(config, POOLS) == config


def test_a_limit_says_in_how_many_pairs_a_kind_fits() -> None:
    costs = planted()
    limits = Limits(costs, {"latency_ms": 32.0})
    room = limits.room(POOLS)

    def most(kind: str) -> int:
        """Of every config that has this kind or `none`."""
        alone = (config for config in every_config() if set(config.values()) <= {kind, "none"})
        return max(list(config.values()).count(kind) for config in alone if limits.excess(config) == 0)

    assert room == {kind: most(kind) for kind in ("none", "global", "local", "tlabel", "slabel")}
    assert len(set(room.values())) > 2, "the limit tells nothing apart"
    assert set(Limits(costs, {"latency_ms": 20.0}).room(POOLS).values()) == {0, 4}


def test_which_of_equal_pairs_gives_way_is_drawn() -> None:
    """Contexts that cost the same are given up by every target alike, not by the first one alone."""
    tasks, generator = ["a", "b", "c"], np.random.default_rng(0)
    pools = dict.fromkeys(all_pairs(tasks, [4]), ("none", "global", "local"))
    costs = {BASE: 10.0, **{term.name: float(": " in term.name) for term in terms(pools)}}
    limits = Limits(CostTable({"latency_ms": costs}), {"latency_ms": 13.0})
    kept = dict.fromkeys(pools, 0)
    for _ in range(300):
        config = {pair: str(generator.choice(("global", "local"))) for pair in pools}
        found = limits.nearest(config, pools)
        assert found == limits.nearest(config, pools), "the same config is answered otherwise"
        assert all(kind in ("none", config[pair]) for pair, kind in found.items())
        for pair, kind in found.items():
            kept[pair] += kind != "none"
    assert sum(kept.values()) == 300 * 3, "what the limit allows is not used"
    assert min(kept.values()) > 60  # of 100 in mean, deviation 8


def test_a_budget_below_the_cheapest_network_is_refused() -> None:
    Limits(planted(), {"latency_ms": 20.0}).check(POOLS)
    with pytest.raises(ConfigError, match=r"search.budget.latency_ms: expected at least 20, .* got 19.9"):
        Limits(planted(), {"latency_ms": 19.9}).check(POOLS)


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_all_configs_where_costs_are_sums_over_targets(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pools = {pair: tuple(kind for kind in pool if kind in ("none", "global", "local")) for pair, pool in POOLS.items()}
    cost = {(pair, kind): generator.uniform(0, 3) * (kind != "none") for pair, pool in pools.items() for kind in pool}
    rows = [
        [
            (dict(zip(own, kinds, strict=True)), float(generator.normal()))
            for kinds in itertools.product(*(pools[pair] for pair in own))
        ]
        for own in ((AA, AB), (BA, BB))
    ]

    def price(kinds: dict[Pair, str]) -> float:
        return float(sum(cost[pair, kind] for pair, kind in kinds.items()))

    found = {(round(point.cost, 9), round(point.score, 9)) for point in front(rows, price)}
    every = [(price({**one, **two}), first + second) for (one, first), (two, second) in itertools.product(*rows)]
    best = {
        (round(price_, 9), round(score, 9))
        for price_, score in every
        if not any((p <= price_ and s > score) or (p < price_ and s >= score) for p, s in every)
    }
    assert found == best
    broken = [[*rows[0], ({AA: "none", AB: "none"}, float("nan"))], rows[1]]
    assert {(round(point.cost, 9), round(point.score, 9)) for point in front(broken, price)} == best, "NaN is the worst"
