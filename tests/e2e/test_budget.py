"""Searches within a budget: by gradient, by trials and by rows; what they choose costs no more, counted anew.

And searches that weigh cost against the loss.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from atrcnas import ContextConfig, Experiment, pareto_job
from atrcnas.costs.front import Point
from atrcnas.costs.table import CostTable
from atrcnas.costs_job import cost_lines
from atrcnas.engine.cost_table import pools_of, without_values
from atrcnas.engine.costs import multiply_adds
from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.launch.search import search
from atrcnas.pareto_job import pareto_lines
from atrcnas.runs.tables import METRICS, read_table
from atrcnas.spec.pairs import Pair

SIZE = (64, 96)
BARE = 40_365_408  # multiply-adds without contexts


def count(experiment: Experiment, contexts: ContextConfig) -> int:
    return multiply_adds(without_values(experiment, dict(contexts.kinds(experiment.tasks))), SIZE)


def tiny(path: Path, **search_keys: object) -> Experiment:
    return Experiment.load(path).replace(data={"selection": 0.2}, search=search_keys)


def test_the_count_starts_from_the_network_without_contexts(tiny_experiment: Path) -> None:
    experiment = tiny(tiny_experiment)
    bare = {pair: "none" for pair in pools_of(experiment)}
    assert multiply_adds(without_values(experiment, bare), SIZE) == BARE


@pytest.mark.parametrize("estimator", ["soft", "paired"])
def test_contexts_that_cost_more_than_they_are_worth_are_not_chosen(
    tiny_experiment: Path, tmp_path: Path, estimator: str
) -> None:
    keys = {"estimator": estimator, "steps": 24, "validate_every": 24, "logits_learning_rate": 1.0, "log_every": 1}
    dear = tiny(tiny_experiment, cost_weight={"multiply_adds": 1e4}, **keys)
    assert set(search(dear, tmp_path / "dear").kinds(dear.tasks).values()) == {"none"}
    table = read_table(tmp_path / "dear/search/metrics.csv", METRICS)
    expected = table[table["name"] == "expected_multiply_adds"]["value"]
    assert expected.iloc[0] > 1.01 * BARE and expected.iloc[-1] == pytest.approx(BARE, rel=2e-3)
    free = tiny(tiny_experiment, cost_weight={"multiply_adds": 1e-9}, **keys)
    assert set(search(free, tmp_path / "free").kinds(free.tasks).values()) != {"none"}


@pytest.mark.parametrize(
    "more, says",
    [
        (1e3, "fits global in 0 of 4 pairs, local in 0 of 4,"),
        (1e9, "each kind wherever it is offered"),
        (3e6, "narrower maps (model.hidden)"),
    ],
)
def test_a_search_says_which_kinds_its_budget_fits(
    tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: float, says: str
) -> None:
    search(tiny(tiny_experiment, budget={"multiply_adds": BARE + more}, steps=1, validate_every=1), tmp_path / "run")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.strip().startswith("budget"))
    assert says in line


def test_costs_are_weighed_in_double_precision(tiny_experiment: Path, tmp_path: Path) -> None:
    limit = {"multiply_adds": BARE + 3e6}
    keys = {"budget": limit, "cost_weight": {"parameters": 0.1}, "steps": 4, "validate_every": 4}
    experiment = tiny(tiny_experiment, **keys).replace(precision="64", devices="cpu")
    assert count(experiment, search(experiment, tmp_path / "run")) <= limit["multiply_adds"]


def test_what_another_call_chose_from_the_front_stays(
    tiny_experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny(tiny_experiment, trials={"number": 2})
    first, second = ({pair: kind for pair in pools_of(experiment)} for kind in ("none", "local"))
    points = [Point(first, -2.0, 5e7), Point(second, -1.0, 6e7)]
    monkeypatch.setattr(pareto_job, "_front", lambda *_: points)
    for limit in (5e7, 6e7):
        list(pareto_lines(experiment, tmp_path / "run", f"multiply_adds={limit}", train=False))
    files = sorted((tmp_path / "run/pareto").glob("contexts-*.yaml"))
    assert [ContextConfig.load(file).provenance.score for file in files] in ([-2.0, -1.0], [-1.0, -2.0])
    chosen = pd.read_csv(tmp_path / "run/pareto/chosen.csv")
    assert ContextConfig.load(tmp_path / "run/pareto" / chosen["contexts"].item()).kinds(experiment.tasks) == second


def test_cost_is_weighed_only_where_it_is_known_and_expected(tiny_experiment: Path) -> None:
    with pytest.raises(ConfigError, match=r"cost_weight\.latency_ms: expected costs, measured on the machine"):
        tiny(tiny_experiment, cost_weight={"latency_ms": 0.1})
    with pytest.raises(ConfigError, match=r"cost_weight: strategy 'random' has no expected cost"):
        tiny(tiny_experiment, cost_weight={"parameters": 0.1}, strategy="random")
    with pytest.raises(ConfigError, match=r"cost_weight\.parameters: expected greater than 0"):
        tiny(tiny_experiment, cost_weight={"parameters": 0})


@pytest.mark.parametrize("limit", [BARE + 300_000, BARE + 3_000_000])
def test_a_search_by_gradient_ends_within_its_budget(tiny_experiment: Path, tmp_path: Path, limit: float) -> None:
    experiment = tiny(tiny_experiment, budget={"multiply_adds": float(limit)}, steps=8, validate_every=4)
    contexts = search(experiment, tmp_path / "run")
    assert count(experiment, contexts) <= limit
    table = read_table(tmp_path / "run/search/metrics.csv", METRICS)
    assert {"expected_multiply_adds", "pressure_multiply_adds"} <= set(table["name"])
    expected = table[table["name"] == "expected_multiply_adds"]["value"]
    assert expected.iloc[-1] <= 1.01 * limit


@pytest.mark.parametrize("strategy", ["random", "rows"])
def test_trials_are_of_configs_within_the_budget(tiny_experiment: Path, tmp_path: Path, strategy: str) -> None:
    limit = BARE + 4_000_000.0
    trials = {"number": 4, "steps": 2}
    experiment = tiny(tiny_experiment, budget={"multiply_adds": limit}, strategy=strategy, trials=trials)
    contexts = search(experiment, tmp_path / "run")
    assert count(experiment, contexts) <= limit
    _, *entries = map(json.loads, (tmp_path / "run/search/trials.jsonl").read_text().splitlines())
    assert len(entries) > 1
    for entry in entries:
        kinds = {Pair.parse(pair): kind for pair, kind in entry["sample"].items()}
        assert count(experiment, ContextConfig.from_kinds(kinds)) <= limit


def test_costs_are_measured_and_give_a_search_within_milliseconds(tiny_experiment: Path, tmp_path: Path) -> None:
    experiment = tiny(tiny_experiment)
    lines = list(cost_lines(experiment, tmp_path / "costs.csv", "eager", "cpu", SIZE, samples=1, checks=2))
    assert "Kendall tau" in lines[-2]
    table = CostTable.load(tmp_path / "costs.csv", pools_of(experiment))
    assert table.costs["multiply_adds"]["base"] == pytest.approx(BARE, rel=1e-4)
    limit = 1.01 * table.costs["latency_ms"]["base"]
    timed = tiny(tiny_experiment, budget={"latency_ms": limit}, costs=str(tmp_path / "costs.csv"))
    contexts = search(timed, tmp_path / "run")
    assert table.predict(contexts.kinds(timed.tasks), "latency_ms") <= limit
    with pytest.raises(ConfigError, match="latency_ms: expected costs, measured on the machine"):
        tiny(tiny_experiment, budget={"latency_ms": limit})
    with pytest.raises(RunError, match=r"expected costs of this network, of .* parameters, .* of another width"):
        search(timed.replace(model={"width": 24}), tmp_path / "wider")
    with pytest.raises(
        RunError, match=r"search\.costs: expected a table of costs, found no file .* Run `atrcnas costs"
    ):
        search(timed.replace(search={"costs": str(tmp_path / "none.csv")}), tmp_path / "none")
    with pytest.raises(
        ConfigError, match=r"search\.budget\.multiply_adds: expected at least"
    ):  # counted, whatever the file says
        halved = {
            **table.costs,
            "multiply_adds": {name: cost / 2 for name, cost in table.costs["multiply_adds"].items()},
        }
        CostTable(halved).save(tmp_path / "halved.csv")
        both = {"budget": {"latency_ms": limit, "multiply_adds": 0.9 * BARE}, "costs": str(tmp_path / "halved.csv")}
        search(tiny(tiny_experiment, **both), tmp_path / "halved")
    margin = CostTable(table.costs, {"latency_ms": 0.5})
    margin.save(tmp_path / "costs.csv")
    unlimited = timed.replace(search={"budget": {}})
    with pytest.raises(ConfigError, match="--budgets latency_ms: expected at least"):
        list(pareto_lines(unlimited, tmp_path / "front", f"latency_ms={limit}", train=False))


def test_the_front_rises_and_its_points_are_trained(tiny_experiment: Path, tmp_path: Path) -> None:
    experiment = tiny(tiny_experiment, trials={"number": 6})
    list(pareto_lines(experiment, tmp_path / "run", None, train=False))
    points = pd.read_csv(tmp_path / "run/pareto/front.csv")
    assert points["multiply_adds"].is_monotonic_increasing
    assert points["score"].is_monotonic_increasing
    assert (tmp_path / "run/plots/pareto.png").is_file()
    limit = points["multiply_adds"].iloc[-1]
    list(pareto_lines(experiment, tmp_path / "run", f"multiply_adds={limit}", train=True))
    chosen = pd.read_csv(tmp_path / "run/pareto/chosen.csv")
    assert chosen["depth.rmse"].notna().all()
    contexts = ContextConfig.load(tmp_path / "run/pareto" / chosen["contexts"].item())
    assert count(experiment, contexts) == pytest.approx(limit, rel=1e-3)
    cheapest = points["multiply_adds"].iloc[0]
    assert cheapest > BARE, "the network without contexts was not among the rows that were scored"
    with pytest.raises(ConfigError, match="the cheapest config that was scored"):
        list(pareto_lines(experiment, tmp_path / "run", f"multiply_adds={(BARE + cheapest) / 2}", train=False))
    with pytest.raises(ConfigError, match=r"--budgets multiply_adds: expected at least .* with the cheapest contexts"):
        list(pareto_lines(experiment, tmp_path / "other", "multiply_adds=1", train=False))
    assert not (tmp_path / "other").exists(), "refused before the search"
    with pytest.raises(ConfigError, match=r"search\.budget: expected none, since the front answers for every cost"):
        list(pareto_lines(tiny(tiny_experiment, budget={"multiply_adds": limit}), tmp_path / "run", None, train=False))
    with pytest.raises(ConfigError, match="expected one of latency_ms, multiply_adds, parameters with limits"):
        list(pareto_lines(experiment, tmp_path / "run", "watts=1", train=False))
