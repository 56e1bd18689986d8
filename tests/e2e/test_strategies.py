"""Searches by trials on real, tiny trainings: their files, their account, and a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.ground.errors import CheckpointError, ConfigError, RunError
from atrcnas.launch.ask_tell import Trial
from atrcnas.launch.search import _Best, _check_same_data
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.runs.tables import BUDGET
from tests.conftest import TINY

DATA = {"name": "rooms", "options": {"image_size": [64, 64], "train_size": 8, "val_size": 2}}
SMALL: dict[str, Any] = {
    **TINY,
    "data": DATA,
    "space": {"schema": 1, "pairs": {"default": ["none", "local"]}},
    "search": {**TINY["search"], "trials": {"number": 4, "steps": 2}},
}


def searched(folder: Path, strategy: str, *overrides: str, resume: bool = False) -> ContextConfig:
    return search(Experiment.load(SMALL, [f"search.strategy={strategy}", *overrides]), folder, resume)


def account(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "search/budget.csv")


@pytest.fixture(scope="module")
def random_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies") / "random"
    searched(folder, "random")
    return folder


def test_each_trial_is_a_run_folder_with_its_own_config_and_score(random_run: Path) -> None:
    entries = [json.loads(line) for line in (random_run / "search/trials.jsonl").read_text().splitlines()][1:]
    assert len(entries) == 4
    for entry in entries:
        folder = RunFolder(random_run / "search/trials" / entry["folder"])
        experiment = folder.load_experiment()
        assert experiment.retrain.steps == entry["steps"] == 2
        kinds = folder.load_contexts().kinds(experiment.tasks)
        assert {str(pair): kind for pair, kind in kinds.items()} == entry["sample"]
        assert read_results(folder.root)["selection"] == entry["score"]
        assert not (folder.root / "retrain/checkpoints").exists()


def test_the_best_trial_is_the_answer_and_is_then_retrained(random_run: Path) -> None:
    entries = [json.loads(line) for line in (random_run / "search/trials.jsonl").read_text().splitlines()][1:]
    best = max(entries, key=lambda entry: float(entry["score"]))
    contexts = ContextConfig.load(random_run / "contexts.yaml")
    assert {str(pair): kind for pair, kind in contexts.kinds(["semseg", "depth"]).items()} == best["sample"]
    made = contexts.provenance
    assert (made.strategy, made.trials, made.score, made.step) == ("random", 4, best["score"], 8)
    results = retrain(Experiment.load(SMALL, ["search.strategy=random"]), contexts, random_run)
    assert set(results["scores"]) == {"semseg", "depth"}


def test_a_score_that_is_no_number_is_the_worst(tmp_path: Path) -> None:
    experiment = Experiment.load(SMALL, ["search.strategy=random"])
    folder = RunFolder(tmp_path / "run")
    folder.enter(experiment, "search", False, {})
    best = _Best(experiment, folder, (0, 0.0), None)
    sample = {str(pair): "none" for pair in experiment.search_space().pools(experiment.tasks)}
    for number, score in enumerate((float("nan"), 0.4, float("nan"), 0.9)):
        best.on_trial(Trial(number, sample, score, steps=1, seconds=1.0, seed=0))
    assert ContextConfig.load(tmp_path / "run/contexts.yaml").provenance.score == 0.9


def test_a_supernet_of_the_same_files_fits_whichever_folder_they_are_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"name": "folder", "options": {"root": "mine", "classes": {"semseg": 5}, "image_size": None}}
    mine = Experiment.load({**SMALL, "data": data})
    supernet = RunFolder(tmp_path / "supernet")
    supernet.enter(mine, "search", False, {})
    _check_same_data(mine, supernet)
    with pytest.raises(ConfigError, match=r"search.trials.supernet: .*/other'"):
        _check_same_data(mine.replace(data={"options": {**data["options"], "root": "other"}}), supernet)


def test_a_resumed_search_trains_nothing_twice(random_run: Path) -> None:
    before = (random_run / "search/trials.jsonl").read_bytes()
    contexts = ContextConfig.load(random_run / "contexts.yaml")
    assert searched(random_run, "random", resume=True) == contexts
    assert (random_run / "search/trials.jsonl").read_bytes() == before
    with pytest.raises(RunError, match="--resume"):
        searched(random_run, "random")


def test_configs_are_scored_with_the_weights_of_one_supernet(tmp_path: Path) -> None:
    longer = ["search.trials.number=6", "search.steps=12", "search.validate_every=12", "search.learning_rate=0.1"]
    contexts = searched(tmp_path / "a", "oneshot-random", *longer)
    assert contexts.provenance.trials == 6
    logits = pd.read_csv(tmp_path / "a/supernet/search/logits.csv")
    assert (logits.probability - 0.5).abs().max() < 1e-6, "the supernet's configs are drawn evenly to the end"
    budget = "search.budget={multiply_adds: 1e12}"
    searched(tmp_path / "d", "oneshot-random", *longer, budget, "data.selection=0.2")
    within = RunFolder(tmp_path / "d/supernet").load_experiment()
    assert not within.search.budget, "and a budget is for the choice"
    rows = account(tmp_path / "a")
    assert rows.score.nunique() > 1, rows
    assert rows.step.tolist() == [12] * 6 and rows.seconds.iloc[0] > 0
    again = searched(tmp_path / "b", "oneshot-random", f"search.trials.supernet={tmp_path / 'a/supernet'}")
    assert not (tmp_path / "b/supernet").exists()
    assert [round(x, 6) for x in account(tmp_path / "b").score] == [round(x, 6) for x in rows.score[:4]]
    assert again.provenance.trials == 4
    with pytest.raises(CheckpointError, match="a supernet of another search space"):
        other = "space={pairs: {default: [none, global]}}"
        searched(tmp_path / "c", "oneshot-random", f"search.trials.supernet={tmp_path / 'a/supernet'}", other)


def test_the_best_row_of_each_target_is_joined_and_a_resumed_search_scores_nothing_twice(tmp_path: Path) -> None:
    longer = ["search.trials.number=9", "search.steps=12", "search.validate_every=12", "search.learning_rate=0.1"]
    contexts = searched(tmp_path / "a", "rows", *longer)
    journal = tmp_path / "a/search/trials.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()][1:]
    answer = {str(pair): kind for pair, kind in contexts.kinds(["semseg", "depth"]).items()}
    for target in ("semseg", "depth"):
        best = max(entries, key=lambda entry: float(entry["by_target"][target]))["sample"]
        pairs = [pair for pair in answer if pair.startswith(f"{target}<-")]
        assert len({tuple(entry["sample"][pair] for pair in pairs) for entry in entries}) == 4, "two kinds, two pairs"
        assert {pair: answer[pair] for pair in pairs} == {pair: best[pair] for pair in pairs}
    made, rows = contexts.provenance, account(tmp_path / "a")
    assert (made.strategy, made.trials) == ("rows", 5)
    assert rows.step.tolist() == [12] * 5 and made.score == pytest.approx(rows.score.max())
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    assert searched(tmp_path / "a", "rows", *longer, resume=True).pairs == contexts.pairs
    again = [json.loads(line) for line in journal.read_text().splitlines()][1:]
    assert [entry["by_target"] for entry in again] == [entry["by_target"] for entry in entries]


def test_every_strategy_keeps_the_same_account(random_run: Path, tmp_path: Path) -> None:
    for strategy in ("gumbel", "darts"):
        contexts = searched(tmp_path / strategy, strategy)
        assert contexts.provenance.strategy == strategy
    for folder in (random_run, tmp_path / "gumbel", tmp_path / "darts"):
        rows = account(folder)
        assert tuple(rows.columns) == tuple(BUDGET)
        assert (rows.strategy == folder.name).all()
        assert rows.step.is_monotonic_increasing and rows.seconds.is_monotonic_increasing
        assert (rows.best == rows.score.cummax()).all()
    assert account(random_run).step.tolist() == [2, 4, 6, 8] and account(random_run).trial.tolist() == [1, 2, 3, 4]
    assert account(tmp_path / "darts").step.tolist() == [3, 6]


def test_darts_is_the_same_supernet_without_noise(tmp_path: Path) -> None:
    assert Experiment.load(SMALL).search.noise is True
    assert Experiment.load(SMALL, ["search.strategy=darts"]).search.noise is False
    for wrong, says in (
        (["search.strategy=darts", "search.noise=true"], "noise: expected false with strategy 'darts', got true"),
        (["search.strategy=darts", "search.estimator=sampled"], "draws nothing"),
        (["search.strategy=dart"], "Did you mean 'darts'"),
        (["search.strategy=random", "retrain.inherit=true"], "leaves no supernet"),
        (["launch={workers: 2}"], "engine 'local' runs one trial at once"),
        (["launch={address: auto}"], "belong to Ray"),
    ):
        with pytest.raises(ConfigError, match=says):
            Experiment.load(SMALL, wrong)


PLUGIN = """
from atrcnas.launch.supernet import evenly
from atrcnas.spec.strategies import STRATEGIES, Strategy

STRATEGIES.register(Strategy("mine", "short trainings of configs drawn evenly, without NNI", explore=evenly))
"""


@pytest.mark.slow
def test_a_strategy_of_the_users_own_killed_in_a_parallel_trial_resumes_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_strategy.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    value = {**SMALL, "search": {**SMALL["search"], "strategy": "mine", "trials": {"number": 5, "steps": 3}}}
    value |= {"plugins": ["my_strategy"], "launch": {"engine": "processes", "workers": 2}}
    value["space"] = {"schema": 1, "pairs": {"default": ["none", "local", "global", "mti"]}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(value))
    command = [sys.executable, "-m", "atrcnas", "search", "tiny.yaml", "--run"]
    driver = subprocess.Popen([*command, "cut"], cwd=tmp_path, env=_environment(), stderr=subprocess.DEVNULL)
    journal = tmp_path / "cut/search/trials.jsonl"
    _until(lambda: journal.is_file() and journal.read_bytes().count(b"\n") >= 3, driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = journal.read_text().splitlines()
    assert len(before) < 6, "killed too late for this test"
    done = subprocess.run(
        [*command, "cut", "--resume"], cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    after = journal.read_text().splitlines()
    assert after[: len(before)] == before and len(after) == 6
    whole = search(Experiment.load({**value, "launch": {}}), tmp_path / "whole")
    scores = [account(tmp_path / name).score.tolist() for name in ("whole", "cut")]
    assert scores[0] == scores[1]
    assert ContextConfig.load(tmp_path / "cut/contexts.yaml").pairs == whole.pairs
    folders = sorted(path.name for path in (tmp_path / "cut/search/trials").iterdir())
    assert folders == sorted(path.name for path in (tmp_path / "whole/search/trials").iterdir())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _until(true: Any, process: subprocess.Popen[Any], seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, "ended before its time"
        assert time.monotonic() < ends
        time.sleep(0.01)
