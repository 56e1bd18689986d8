"""Several seeds: each is a search by itself, and what they agree on is the answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from atrcnas import ContextConfig, Experiment, search
from atrcnas.costs.choosing import Limits
from atrcnas.costs.table import BASE, CostTable, terms
from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.launch.seeds import consensus
from atrcnas.spec.context_config import Provenance
from atrcnas.spec.pairs import Pair
from tests.conftest import TINY

SPACE = {"schema": 1, "pairs": {"default": ["none", "global", "local"], "depth<-depth": ["local"]}}
SMALL: dict[str, Any] = {
    **TINY,
    "data": {"name": "rooms", "options": {"image_size": [64, 64], "train_size": 8, "val_size": 2}},
    "space": SPACE,
    "search": {**TINY["search"], "steps": 3},
}
SEMSEG, ACROSS, BACK, SETTLED = (
    Pair(*names) for names in (("semseg", "semseg"), ("semseg", "depth"), ("depth", "semseg"), ("depth", "depth"))
)


def config(chosen: dict[Pair, str], *shares: tuple[float, float, float]) -> ContextConfig:
    """A search's answer with probabilities of none, global and local for each of three pairs."""
    rows = [dict(zip(("none", "global", "local"), row, strict=True)) for row in shares]
    table = dict(zip(map(str, (SEMSEG, ACROSS, BACK)), rows, strict=True)) | {str(SETTLED): {"local": 1.0}}
    return ContextConfig.from_kinds({**chosen, SETTLED: "local"}, provenance=Provenance(probabilities=table))


def test_the_largest_mean_probability_wins_and_disagreement_is_undecided() -> None:
    found = [
        config({SEMSEG: "local", ACROSS: "none", BACK: "global"}, (0.1, 0.1, 0.8), (0.9, 0.1, 0.0), (0.3, 0.4, 0.3)),
        config({SEMSEG: "local", ACROSS: "global", BACK: "global"}, (0.4, 0.1, 0.5), (0.4, 0.5, 0.1), (0.2, 0.6, 0.2)),
        config({SEMSEG: "local", ACROSS: "global", BACK: "local"}, (0.2, 0.2, 0.6), (0.4, 0.6, 0.0), (0.1, 0.4, 0.5)),
    ]
    contexts = consensus(Experiment.load(SMALL), found, 30)
    kinds = contexts.kinds(["semseg", "depth"])
    assert kinds == {SEMSEG: "local", ACROSS: "none", BACK: "global", SETTLED: "local"}, "not the majority: the mean"
    made = contexts.provenance
    assert made.probabilities[str(ACROSS)] == pytest.approx(
        {"none": 1.7 / 3, "global": 0.4, "local": 0.1 / 3}, abs=1e-4
    )
    assert made.agreement == pytest.approx(
        {"semseg<-semseg": 1, "semseg<-depth": 1 / 3, "depth<-semseg": 2 / 3, "depth<-depth": 1}, abs=1e-4
    )
    assert made.undecided == pytest.approx({"semseg<-depth": 0.5 / 3, "depth<-semseg": 0.4 / 3}, abs=1e-4)
    assert made.step == 30


def test_within_a_budget_the_majority_is_changed_as_little_as_needed() -> None:
    """Probabilities are tilted towards what is cheap there: on average they may be for what no search chose."""
    tilted = (0.6, 0.4, 0.0)
    found = [config({SEMSEG: "global", ACROSS: "global", BACK: kind}, *[tilted] * 3) for kind in ("local", "global")]
    spec = Experiment.load(SMALL)
    space = spec.search_space()
    pools = space.pools(spec.tasks, spec.all_tasks)
    costs = {BASE: 10.0, **{term.name: float(term.name.endswith(": local")) for term in terms(pools)}}
    table = CostTable({"parameters": costs})
    ample = consensus(spec, found, 0, Limits(table, {"parameters": 12.0})).kinds(["semseg", "depth"])
    assert ample == {SEMSEG: "global", ACROSS: "global", BACK: "global", SETTLED: "local"}, "the probability decides"
    costs |= {f"{ACROSS}: global": 3.0}
    tight = consensus(spec, found, 0, Limits(CostTable({"parameters": costs}), {"parameters": 13.0}))
    assert tight.kinds(["semseg", "depth"]) == {SEMSEG: "global", ACROSS: "none", BACK: "global", SETTLED: "local"}
    assert tight.provenance.agreement[str(ACROSS)] == 0


def test_two_kinds_agree_in_any_order() -> None:
    spec = Experiment.load({**SMALL, "space": {**SPACE, "choose": 2}})
    row = (0.1, 0.4, 0.5)
    found = [
        config({SEMSEG: "local+global", ACROSS: "local+global", BACK: "local+global"}, row, row, row),
        config({SEMSEG: "global+local", ACROSS: "none", BACK: "local+global"}, row, row, row),
    ]
    contexts = consensus(spec, found, 0)
    assert contexts.kinds(["semseg", "depth"])[SEMSEG] == "global+local"
    assert contexts.provenance.undecided == pytest.approx({"semseg<-depth": 0.1})


def test_each_seed_is_the_search_it_would_be_alone_and_a_resumed_run_ends_the_same(tmp_path: Path) -> None:
    spec = Experiment.load(SMALL, ["search.seeds=2"])
    contexts = search(spec, tmp_path / "run")
    alone = [search(Experiment.load(SMALL, [f"seed={seed}"]), tmp_path / str(seed)) for seed in (3, 4)]
    parts = [ContextConfig.load(tmp_path / f"run/search/seed-{number}/contexts.yaml") for number in range(2)]
    assert parts == alone
    for pair, row in contexts.provenance.probabilities.items():
        each = [config.provenance.probabilities[pair] for config in alone]
        assert row == pytest.approx({kind: sum(one[kind] for one in each) / 2 for kind in row}, abs=1e-4)
    account = pd.read_csv(tmp_path / "run/search/budget.csv")
    assert account.trial.tolist() == [1, 2] and account.step.tolist() == [3, 6]
    with pytest.raises(RunError, match="has already started"):
        search(spec, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/search/seed-1")
    (tmp_path / "run/contexts.yaml").unlink()
    before = (tmp_path / "run/search/seed-0/search/metrics.csv").read_bytes()
    assert search(spec, tmp_path / "run", resume=True) == contexts == ContextConfig.load(tmp_path / "run/contexts.yaml")
    assert (tmp_path / "run/search/seed-0/search/metrics.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["search.strategy=rows"], r"search.*seeds: strategy 'rows' has no probabilities"),
        (["retrain.inherit=true"], r"retrain\.inherit: several seeds leave several supernets"),
        (["search.seeds=0"], r"search\.seeds: expected"),
    ],
)
def test_what_several_seeds_cannot_do_is_refused(wrong: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Experiment.load(SMALL, ["search.seeds=2", *wrong])
