"""Sweeps of real, tiny trainings: a worker killed, a driver killed, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.launch.journal import Journal
from atrcnas.launch.sweep import _digest, sweep
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.sweep import SweepSpec
from tests.conftest import TINY

DATA = {"name": "rooms", "options": {"image_size": [64, 64], "train_size": 8, "val_size": 2}}
BASE = {**TINY, "data": DATA, "retrain": {**TINY["retrain"], "steps": 8, "validate_every": 4}}
OVER = {"seed": [0, 1], "contexts": ["baseline", "uniform-global"]}
NAMES = {"contexts_baseline-seed_0", "contexts_baseline-seed_1"}
NAMES |= {name.replace("baseline", "uniform-global") for name in NAMES}
PROCESSES = {"engine": "processes", "workers": 2}


def spec(**values: Any) -> SweepSpec:
    return SweepSpec.load({"schema": 1, "experiment": BASE, "over": OVER, **values})


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()][1:]


def each_trial_is_whole_and_its_own(folder: Path) -> None:
    found = {entry["name"]: entry for entry in entries(folder)}
    assert len(entries(folder)) == len(found) == 4
    assert set(found) == NAMES == {path.name for path in (folder / "trials").iterdir()}
    for name, entry in found.items():
        run = RunFolder(folder / "trials" / name)
        experiment = run.load_experiment()
        assert experiment.seed == int(name[-1])
        kind = run.load_contexts().kinds(experiment.tasks, experiment.all_tasks)
        assert set(kind.values()) == ({"none"} if "baseline" in name else {"global"})
        results = read_results(run.root)
        assert results["seed"] == experiment.seed and results["scores"] == entry["scores"]
        rows = (run.root / "retrain/metrics.csv").read_text().splitlines()
        assert len(rows) == len(set(rows))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    return folder, list(sweep(spec(), folder))


def test_trials_are_run_folders_and_seeds_become_one_row(whole: tuple[Path, list[str]]) -> None:
    folder, lines = whole
    each_trial_is_whole_and_its_own(folder)
    assert len(lines) >= 3
    assert lines[1].startswith("contexts_baseline-seed ") and lines[2].startswith("contexts_uniform-global-seed ")


def test_a_resumed_sweep_does_nothing_again(whole: tuple[Path, list[str]]) -> None:
    folder, lines = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("results.json")}
    assert list(sweep(spec(), folder, resume=True)) == lines
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("results.json")} == before
    with pytest.raises(RunError, match="has already started"):
        list(sweep(spec(), folder))
    with pytest.raises(RunError, match=r"differs in over\.seed \(\[0, 1\] there, \[5\] here\), .* nothing here\)\. C"):
        list(sweep(spec(over={"seed": [5]}), folder, resume=True))


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_is_run_again(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            for log in tmp_path.glob("run/trials/*/retrain/metrics.csv"):
                if log.read_text().count("\n") > 2 and not (log.parents[1] / "results.json").exists():
                    killed.extend(_workers()[:1])
                    os.kill(killed[0], signal.SIGKILL)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    lines = list(sweep(spec(launch=PROCESSES), tmp_path / "run"))
    assert killed, "no worker was killed in time"
    each_trial_is_whole_and_its_own(tmp_path / "run")
    assert [line.split("  ")[0] for line in lines[:3]] == [line.split("  ")[0] for line in whole[1][:3]]
    same_scores(tmp_path / "run", whole[0])


def _workers() -> list[int]:
    """Process ids of this process's workers."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    ids = [int(word) for path in children for word in path.read_text().split()]
    return [pid for pid in ids if b"atrcnas.launch.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def same_scores(one: Path, other: Path) -> None:
    scores = [{entry["name"]: entry["scores"] for entry in entries(folder)} for folder in (one, other)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_a_killed_driver_resumes_and_nothing_is_lost_or_doubled(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    value = {"schema": 1, "experiment": BASE, "over": OVER, "launch": PROCESSES}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(value))
    command = [sys.executable, "-m", "atrcnas", "sweep", "sweep.yaml", "--run", "run"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    journal, ends = tmp_path / "run/trials.jsonl", time.monotonic() + 90
    while not journal.is_file() or journal.read_bytes().count(b"\n") < 2:
        assert driver.poll() is None and time.monotonic() < ends
        time.sleep(0.005)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = entries(tmp_path / "run")
    assert 1 <= len(before) < 4, "killed too late for this test"
    done = subprocess.run(
        [*command, "--resume", "launch={}"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert entries(tmp_path / "run")[: len(before)] == before
    each_trial_is_whole_and_its_own(tmp_path / "run")
    same_scores(tmp_path / "run", whole[0])
    assert "contexts_uniform-global-seed" in done.stdout


@pytest.mark.slow
def test_sigterm_saves_the_trials_of_all_processes_and_says_how_to_continue(
    whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    value = {"schema": 1, "experiment": BASE, "over": OVER, "launch": PROCESSES}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(value))
    command = [sys.executable, "-m", "atrcnas", "sweep", "sweep.yaml", "--run", "run"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.glob("run/trials/*/retrain/metrics.csv"))) < 2:
        assert driver.poll() is None
        time.sleep(0.005)
    os.kill(driver.pid, signal.SIGTERM)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 0, said
    assert "stopped by SIGTERM in several trials, the state is saved; go on with --resume" in said
    assert len(list(tmp_path.glob("run/trials/*/retrain/checkpoints/last.ckpt"))) >= 1
    done = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    each_trial_is_whole_and_its_own(tmp_path / "run")
    same_scores(tmp_path / "run", whole[0])


def test_a_sweep_whose_experiment_was_edited_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**BASE, "retrain": {**BASE["retrain"], "steps": 1}}))
    one = spec(experiment=str(tmp_path / "base.yaml"), over={"contexts": ["baseline"]})
    list(sweep(one, tmp_path / "run"))
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**BASE, "retrain": {**BASE["retrain"], "steps": 2}}))
    with pytest.raises(RunError, match=r"cannot resume, an experiment, context config or preset .* has changed"):
        list(sweep(one, tmp_path / "run", resume=True))


def test_a_trial_runs_on_one_device_and_its_settings_are_plain_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trial devices_2: .*devices: a trial runs on one device"):
        list(sweep(spec(over={"devices": [2]}), tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"over\.name"):
        spec(over={"name": [date(2020, 1, 1)]})
    (tmp_path / "run").mkdir()
    (tmp_path / "run/sweep.yaml").write_text("[1]")
    with pytest.raises(RunError, match=r"sweep\.yaml: cannot resume"):
        list(sweep(spec(), tmp_path / "run", resume=True))
    names = [trial.name for trial in spec(over={"backbone.weights": ["d/foo", "e/foo", "foo.1.pth"]}).trials()]
    assert len(set(names)) == 3


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    points = spec(over={"contexts": ["baseline"]}).trials()
    header = {"points": len(points), "made_of": _digest(points)}
    Journal(RunFolder(tmp_path).sweep_journal, header).append({"score": 1})
    with pytest.raises(RunError, match=r"trials\.jsonl: expected the trials of a sweep, got something else"):
        list(sweep(spec(over={"contexts": ["baseline"]}), tmp_path, resume=True))


def test_one_failing_trial_does_not_stop_the_others(tmp_path: Path) -> None:
    over = {"backbone.weights": ["none", str(tmp_path / "late.safetensors")]}
    (tmp_path / "late.safetensors").write_bytes(b"no weights")
    found = spec(over={**over, "contexts": ["baseline"]})
    lines: list[str] = []
    with pytest.raises(RunError, match=r"(?s)trial .*late.*1 of 2 trials failed. Continue with --resume"):
        lines.extend(sweep(found, tmp_path / "run"))
    assert [entry["name"] for entry in entries(tmp_path / "run")] == ["weights_none-contexts_baseline"]


def test_points_that_are_not_an_experiment_are_named_before_anything_starts(tmp_path: Path) -> None:
    for over, says in (
        ({"seed": [0, "x"]}, r"trial seed_x: .*seed: expected an integer, got 'x'"),
        ({"retrain.stesp": [1]}, "Did you mean 'steps'"),
        ({"contexts": ["basline"]}, "Did you mean 'baseline'"),
        ({"contexts": ["atrc-nyud-hrnet18"]}, "Search again for these tasks"),
    ):
        with pytest.raises(ConfigError, match=says):
            list(sweep(spec(over=over), tmp_path / "run"))
    with pytest.raises(ConfigError, match="over: expected"):
        spec(over={})
    with pytest.raises(ConfigError, match="at most 100000 points"):
        spec(over={f"k{i}": list(range(10)) for i in range(6)}).trials()
    assert not (tmp_path / "run").exists()


def test_a_sample_is_points_of_the_grid_none_twice_the_same_for_the_same_seed() -> None:
    over = {"seed": [0, 1, 2], "search.steps": [1, 2, 3], "space": ["atrc", "full"]}
    grid = [trial.name for trial in spec(over=over).trials()]
    drawn = [trial.name for trial in spec(over=over, sample=7).trials()]
    assert len(set(grid)) == 18 and len(set(drawn)) == 7 and set(drawn) < set(grid)
    assert drawn == [trial.name for trial in spec(over=over, sample=7).trials()]
    assert drawn != [trial.name for trial in spec(over=over, sample=7, seed=1).trials()]
    trial = spec(over={"search.learning_rate": [1e-5], "space": [{"pairs": {"default": ["none"]}}]}).trials()[0]
    assert trial.experiment.search.learning_rate == 1e-5
    assert trial.experiment.space == {"pairs": {"default": ["none"]}}
