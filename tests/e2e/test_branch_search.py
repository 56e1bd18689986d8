"""A search of branches, before the contexts, with them or alone, goes through the whole job and resumes bit for bit."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from lightning_fabric import Fabric

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.engine import evaluate
from atrcnas.ground.errors import AtrcnasError, ConfigError
from atrcnas.launch import branches as phases
from atrcnas.pipeline import run_job
from atrcnas.runs.folder import RunFolder
from tests.conftest import TINY
from tests.e2e.cut_runs import dies_at, same_files, same_search

SMALL = ["backbone={name: atrcnas_small, options: {stages: 3}}", "search.steps=4", "search.validate_every=2"]


def experiment_of(contexts: str, *more: str) -> Experiment:
    settings = {"contexts": contexts, "warm_up": 0.3, "logits_learning_rate": 0.5}
    return Experiment.load(TINY, [*SMALL, f"search.branches={json.dumps(settings)}", *more])


@pytest.mark.parametrize("phase", ["branches", pytest.param("contexts", marks=pytest.mark.slow)])
def test_branches_first_and_contexts_after_resume_bit_for_bit(tmp_path: Path, phase: str) -> None:
    experiment, whole, cut = experiment_of("after"), tmp_path / "whole", tmp_path / "cut"
    expected = search(experiment, whole)
    if phase == "contexts":  # the search of branches ends undisturbed
        given = phases.with_branches(experiment, cut)
        assert given.model.branches == expected.model.branches
    with dies_at(3):
        search(experiment, cut, resume=phase == "contexts")
    assert RunFolder(cut).load_experiment().dump() == (
        (experiment if phase == "branches" else given).with_space_inline().with_absolute_paths().dump()
    )
    assert search(RunFolder(cut).load_experiment(), cut, resume=True) == expected
    for inner in ("", "search/branches"):
        same_search(whole / inner, cut / inner)
    same_files(whole / "search/branches", cut / "search/branches", ["search/branches.csv"])


@pytest.mark.slow
def test_a_search_of_both_at_once_resumes_bit_for_bit(tmp_path: Path) -> None:
    experiment = experiment_of("together")
    expected = search(experiment, tmp_path / "whole")
    with dies_at(3):
        search(experiment, tmp_path / "cut")
    assert search(experiment, tmp_path / "cut", resume=True) == expected
    same_search(tmp_path / "whole", tmp_path / "cut")
    same_files(tmp_path / "whole", tmp_path / "cut", ["search/branches.csv"])


def test_branches_alone_leave_no_contexts_and_write_down_their_chances(tmp_path: Path) -> None:
    experiment = experiment_of("none")
    found = search(experiment, tmp_path)
    assert set(found.kinds(experiment.tasks).values()) == {"none"}
    table = pd.read_csv(tmp_path / "search/branches.csv")
    assert set(table["point"]) == {"stage1", "stage2"}
    chances = table.groupby(["step", "point", "task"])["probability"].sum()
    assert chances.sub(1).abs().max() < 1e-6
    assert (table.query("step == 1")["logit"] == 0).all(), "they rest in the warm-up"
    last = table.query("step == 4").pivot(index=["point", "task"], columns="copy", values="logit")
    assert last.abs().max(axis=None) > 0
    own = last.idxmax(axis=1)  # the tree, by hand: together as long as all points so far chose the same copy
    first, both = (own["stage1"].nunique() == 1), (own["stage2"].nunique() == 1)
    expected = {} if first and both else {"stage1" if not first else "stage2": [["semseg"], ["depth"]]}
    assert found.model.branches == expected


@pytest.mark.parametrize("contexts", ["after", pytest.param("together", marks=pytest.mark.slow)])
def test_the_whole_job_retrains_the_tree_that_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contexts: str
) -> None:
    monkeypatch.setattr(evaluate, "measure_costs", partial(evaluate.measure_costs, repeats=1))
    apart = {"cost_weight": 0.0}
    experiment = experiment_of(contexts, *(f"search.branches.{key}={value}" for key, value in apart.items()))
    results = retrain(experiment, search(experiment, tmp_path), tmp_path)
    tree = ContextConfig.load(tmp_path / "contexts.yaml").model.branches
    assert results["branches"] == tree
    assert RunFolder(tmp_path).load_experiment().model.branches == tree
    assert ("branches" in results["seconds"]) == (contexts == "after")
    again = retrain(experiment, ContextConfig.load(tmp_path / "contexts.yaml"), tmp_path, resume=True)
    assert again["scores"] == results["scores"]
    if contexts == "together":
        lines = run_job(RunFolder(tmp_path).load_experiment(), tmp_path, resume=True)
        assert next(lines).startswith("semseg: miou")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [["search.seeds=2"], ["search.strategy=random", "search.trials={number: 2, steps: 1}"]],
    ids=["several seeds", "trials"],
)
def test_contexts_are_searched_on_the_tree_by_any_strategy(tmp_path: Path, more: list[str]) -> None:
    experiment = experiment_of("after", *more)
    found = search(experiment, tmp_path)
    tree = ContextConfig.load(tmp_path / "search/branches/contexts.yaml").model.branches
    assert found.model.branches == tree
    inner = [path for path in tmp_path.glob("search/*/**/experiment.yaml") if "branches" not in path.parts]
    assert len(inner) == 2
    assert all(RunFolder(path.parent).load_experiment().model.branches == tree for path in inner)
    assert search(experiment, tmp_path, resume=True) == found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["model.branches={stage1: [[semseg], [depth]]}"],
            "model.branches: expected nothing, since search.branches is to",
        ),
        (["search.branches.points=[stage1, stage7]"], r"stage7: no branching point of this backbone"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_starts(
    tmp_path: Path, more: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        search(experiment_of("together", *more), tmp_path / "run")
    assert not (tmp_path / "run/search").exists()


TRIALS = ["search.strategy=random", "search.trials={number: 2, steps: 1}"]


@pytest.mark.parametrize(
    ("more", "profile", "message"),
    [
        (TRIALS, True, "--profile: expected a search by gradient, got 'random'"),
        (["search.seeds=2"], True, "--profile: looks at one search, got several seeds"),
        ([*TRIALS, "devices=2"], False, "devices: a trial runs on one device, got devices 2"),
        (["search.seeds=2", "devices=2"], False, "devices: a search with several seeds runs on one device"),
        (
            [*TRIALS, "search.strategy=rl", "search.trials.proposals=optuna"],
            False,
            "Optuna has nothing like strategy 'rl'",
        ),
    ],
)
def test_a_search_of_contexts_that_cannot_be_is_refused_before_branches_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], profile: bool, message: str
) -> None:
    monkeypatch.setattr(phases, "search", lambda *_: pytest.fail("branches are searched"))
    monkeypatch.setattr(phases, "connect", lambda _: Fabric(accelerator="cpu", devices=1))  # starts no processes
    with pytest.raises(AtrcnasError, match=message):
        search(experiment_of("after", *more), tmp_path / "run", profile=profile)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("contexts", "more", "message"),
    [
        ("together", ["search.seeds=2"], "several seeds would give several trees"),
        ("none", ["search.strategy=random"], "needs a search by gradient, got strategy 'random'"),
        ("together", ["search.budget={parameters: 1.0e6}"], "with a budget, but what the encoder costs is not known"),
        ("none", ["search.cost_weight={parameters: 0.1}"], "with a cost_weight, but what the encoder costs is not"),
        ("together", ["retrain.inherit=true"], "retrain.inherit: search.branches.contexts: together leaves copies"),
        ("before", [], r"search\.branches\.contexts: expected 'after', 'together' or 'none', got 'before'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(contexts: str, more: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment_of(contexts, *more)
