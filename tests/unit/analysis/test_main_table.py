"""The main table: what is compared is what it says, rows are planned once each, and figures follow from the rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.ablation_path import greedy
from analysis.main_table import equal_time, recipe, report, versus
from analysis.main_table.agreement import votes
from analysis.main_table.one_task import with_one_task
from analysis.main_table.planned import first, plan
from analysis.main_table.rows import columns, with_delta_m
from analysis.main_table.run import in_bench
from analysis.main_table.settings import SETTINGS, SMALL, Setting
from analysis.main_table.systems import (
    BLOCKS,
    DRAWN,
    LATENCY,
    LATENCY_PAIRED,
    NEAR,
    RANDOM_CONFIGS,
    group_of,
    systems,
)
from atrcnas.engine.costs import multiply_adds
from atrcnas.engine.networks import fixed_network, with_model_of
from atrcnas.runs.tables import Table
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair

EXPERIMENT = SMALL.experiment()
SYSTEMS = systems(SMALL)
OWN, CROSS = Pair("depth", "depth"), Pair("depth", "semseg")


def cost(setting: Setting, name: str) -> int:
    system, experiment = systems(setting)[name], setting.experiment(["backbone.weights=none"])
    assert system.contexts is not None
    changed = with_model_of(experiment.replace(**system.changes), system.contexts)
    return multiply_adds(fixed_network(changed, system.contexts), setting.image_size)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_the_wider_baseline_and_the_budgets_cost_what_the_aspp_head_costs(setting: Setting) -> None:
    assert cost(setting, "aspp-head") == setting.aspp_multiply_adds
    assert cost(setting, "wider") == pytest.approx(setting.aspp_multiply_adds, rel=0.01)
    assert systems(setting)["wider"].changes == {"model": {"width": setting.wider}}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_system_can_be_searched_and_trained(setting: Setting) -> None:
    for name, system in systems(setting).items():
        search = setting.experiment().replace(**system.changes).replace(**system.searched_with).search
        assert search.estimator == ("paired" if name.endswith(("-paired", "-long")) else "soft"), name


def test_the_published_config_is_that_of_these_tasks_pairs() -> None:
    contexts = SYSTEMS["published"].contexts
    assert contexts is not None and contexts.kinds(EXPERIMENT.tasks) == {
        Pair("semseg", "semseg"): "tlabel",
        Pair("semseg", "depth"): "tlabel",
        Pair("depth", "semseg"): "slabel",
        Pair("depth", "depth"): "tlabel",
    }


def test_a_network_of_one_task_has_the_options_of_that_task_alone() -> None:
    experiment = SETTINGS["rooms-small-pascal"].experiment()
    parts, edges = (with_one_task(experiment, name) for name in ("human_parts", "edge"))
    assert (list(parts.resolved_tasks()), list(edges.resolved_tasks())) == (["human_parts"], ["edge"])
    assert parts.task_options == experiment.task_options and edges.task_options == {}
    assert (edges.retrain, edges.data, edges.seed) == (experiment.retrain, experiment.data, experiment.seed)


@pytest.mark.parametrize("group", DRAWN)
def test_random_configs_are_different_mixed_and_the_same_each_time(group: str) -> None:
    drawn = [system.contexts for name, system in SYSTEMS.items() if group_of(name) == group]
    kinds = [tuple(contexts.kinds(EXPERIMENT.tasks).values()) for contexts in drawn if contexts]
    assert len(set(kinds)) == 10 and all(len(set(config)) > 1 for config in kinds)
    again = systems.__wrapped__(SMALL)
    assert all(again[name].contexts == system.contexts for name, system in SYSTEMS.items())


def test_every_row_is_planned_once_and_the_deciding_ones_seed_by_seed() -> None:
    entries, deciding = plan(SMALL), first(SMALL)
    drawn = [name for name, _ in entries if group_of(name) in DRAWN]
    assert len(drawn) == len(set(drawn)) == 2 * RANDOM_CONFIGS  # one training each
    assert len(entries) == len(set(entries)) == (len(SYSTEMS) - len(drawn)) * SMALL.seeds + len(drawn)
    assert entries[: len(deciding) * SMALL.seeds] == [(name, seed) for seed in range(SMALL.seeds) for name in deciding]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_each_system_has_the_seeds_of_its_table_or_the_fewer_that_are_said(setting: Setting) -> None:
    found: dict[str, list[int]] = {}
    for name, seed in plan(setting):
        found.setdefault(name, []).append(seed)
    assert set(found) == set(systems(setting)) >= set(setting.fewer)
    seeds = {name: list(range(setting.fewer.get(name, setting.seeds))) for name in found if group_of(name) not in DRAWN}
    assert seeds == {name: sorted(found[name]) for name in seeds}
    assert max(map(len, found.values())) == setting.seeds


def test_only_networks_that_contextbench_trained_are_looked_up() -> None:
    fixed = {name: system for name, system in SYSTEMS.items() if system.contexts is not None}
    found = {
        name
        for name, system in fixed.items()
        if in_bench(EXPERIMENT.replace(**system.changes), system.contexts) is not None  # type: ignore[arg-type]
    }
    assert found == {"baseline", "uniform-none", "uniform-global", "uniform-local", "uniform-slabel"}


def test_delta_m_is_against_the_baseline_of_the_same_seed(tmp_path: Path) -> None:
    form = columns(EXPERIMENT)
    given = [
        ("baseline", 0, 0.2, 1.0),
        ("a", 0, 0.3, 0.9),
        ("baseline", 1, 0.1, 2.0),
        ("a", 1, 0.1, 1.0),
        ("a", 2, 1.0, 1.0),
    ]
    table = Table(tmp_path / "rows.csv", tuple(form))
    table.begin(
        tuple(
            {"system": name, "seed": seed, "config": "", "semseg.miou": miou, "depth.rmse": rmse}.get(key, 1)
            for key in form
        )
        for name, seed, miou, rmse in given
    )
    rows = with_delta_m(EXPERIMENT, table.path).set_index(["system", "seed"])["delta_m"]
    # 50 % more mIoU and 10 % less error; no change and half of the error; no baseline, no row.
    assert rows.to_dict() == {
        ("baseline", 0): 0.0,
        ("a", 0): pytest.approx(30.0),
        ("baseline", 1): 0.0,
        ("a", 1): pytest.approx(25.0),
    }


def test_networks_are_set_beside_aspp_heads_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = {"aspp-head": (20.0, 20.0, 20.0), LATENCY: (22.0, 21.0, 19.0), BLOCKS: (25.0, 25.0, 24.0)}
    rows = [
        {"system": name, "seed": seed, "delta_m": gain, "multiply_adds": SMALL.aspp_multiply_adds // 2 * seed}
        for name, by_seed in gains.items()
        for seed, gain in enumerate(by_seed)
    ]
    monkeypatch.setattr(versus, "rows_of", lambda _: pd.DataFrame(rows))
    monkeypatch.setattr(versus, "slowest", lambda *_: pd.Series({"aspp-head": 2.0, LATENCY: 3.0}))
    assert [line.split(" | ") for line in versus.beside_aspp_heads(SMALL)][2:] == [
        [f"| {LATENCY}", "+0.7 ± 1.5", "2 of 3 seeds", "1 of 3 seeds", "1.00x", "1.50x |"],
        [f"| {BLOCKS}", "+4.7 ± 0.6", "3 of 3 seeds", "3 of 3 seeds", "1.00x", " |"],
    ]


def test_a_search_is_compared_with_kinds_that_it_could_have_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its pool, at its widths, within its latency; random configs, once all are there, likewise."""
    gains = {"searched-atrc": 15.0, "searched-wide": 24.0, "searched-wide-40": 31.0, NEAR: 14.0, "aspp-head": 20.0}
    gains |= {"uniform-local": 19.0, "uniform-wide": 25.0, "uniform-aspp_dense": 28.0, "uniform-linear": 5.0}
    gains |= {"uniform-none": 4.0, "uniform-wide-40": 33.0, **{f"random-{i}": 20.0 + i for i in range(10)}}
    taken = {"baseline": 1.0, "uniform-none": 1.1, "uniform-linear": 1.29, "uniform-local": 1.31, "uniform-wide": 1.4}
    rows = pd.DataFrame([{"system": name, "seed": 0, "delta_m": gain} for name, gain in gains.items()])
    monkeypatch.setattr(versus, "rows_of", lambda _: rows)
    monkeypatch.setattr(versus, "slowest", lambda *_: pd.Series(taken))
    cells = [line.strip("| ").split(" | ") for line in versus.lines(SMALL)][2:]
    found = {(name, rival): difference for name, rival, difference, _ in cells if rival != "aspp-head"}
    assert found == {
        ("searched-atrc", "uniform-local"): "-4.0",
        ("searched-wide", "uniform-wide"): "-1.0",
        ("searched-wide", "the median random config"): "-0.5",
        ("searched-wide-40", "uniform-wide-40"): "-2.0",
        (NEAR, "uniform-linear"): "+9.0",
    }
    monkeypatch.setattr(versus, "rows_of", lambda _: rows[rows["system"] != "random-3"])
    assert not [line for line in versus.lines(SMALL) if "random" in line]


def test_the_opening_figure_shows_what_fits_into_the_time_of_aspp_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = {"baseline": 0.0, "wider": 5.0, "aspp-head": 20.0, "random-within-0": 18.0, "random-within-1": 20.0}
    gains |= {"uniform-linear": 7.0, "uniform-wide-24-8": 19.0, BLOCKS: 30.0, LATENCY_PAIRED: 24.0}
    rows = [
        {"system": name, "seed": seed, "config": "", "delta_m": gain + seed}
        for name, gain in gains.items()
        for seed in (0, 2)
    ]
    taken = {"aspp-head": 2.0, "uniform-linear": 1.0, "uniform-wide-24-8": 2.0, BLOCKS: 2.1}
    for module in (equal_time, report):
        monkeypatch.setattr(module, "rows_of", lambda _: pd.DataFrame(rows))
    monkeypatch.setattr(equal_time, "slowest", lambda *_: pd.Series(taken))
    (panel,) = equal_time.draw([SMALL]).axes
    assert panel.get_title(loc="left") == "2 tasks, 2 seeds"
    shown = {
        label.get_text(): text.get_text() for label, text in zip(panel.get_yticklabels(), panel.texts, strict=True)
    }
    assert shown == {
        "no contexts, wider": "6.0 ± 1.4",
        "no contexts, ASPP heads": "21.0 ± 1.4",
        "random contexts": "20.0 ± 1.4",  # between the means of the two configs
        "best kind for every pair": "20.0 ± 1.4",  # `wide` in wider maps takes longer
        "searched": "25.0 ± 1.4",
    }


@pytest.mark.parametrize("name", recipe.TRIED)
def test_the_recipe_of_a_main_table_is_one_that_was_tried_with_seeds_of_its_own(name: str) -> None:
    setting = SETTINGS[name]
    experiment = setting.experiment()
    assert experiment in [experiment.replace(**changes) for changes in recipe.TRIED[name].values()]
    assert not set(recipe.SEEDS) & {seed for _, seed in plan(setting)}


def test_votes_count_the_searches_that_chose_a_kind() -> None:
    found = {0: {OWN: "wide", CROSS: "aspp"}, 1: {OWN: "wide", CROSS: "none"}, 2: {OWN: "aspp", CROSS: "none"}}
    assert votes(found) == {OWN: ("wide", 2), CROSS: ("none", 2)}


def test_the_greedy_path_adds_what_helps_most_given_what_is_there() -> None:
    third, idle = Pair("semseg", "depth"), Pair("semseg", "semseg")
    alone = {OWN: 3.0, CROSS: 2.5, third: 1.0}

    def value(kinds: dict[Pair, str]) -> float:
        there = {pair for pair, kind in kinds.items() if kind != NONE}
        return sum(alone[pair] for pair in there) - (2.0 if {OWN, CROSS} <= there else 0.0)

    answer = {OWN: "wide", CROSS: "aspp", third: "local", idle: NONE}
    # CROSS is second alone, but OWN has most of it already.
    assert greedy(answer, value) == [(None, 0.0), (OWN, 3.0), (third, 4.0), (CROSS, 4.5)]  # type: ignore[arg-type]
