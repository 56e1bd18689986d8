"""Runs side by side: what becomes one row, the figures in it, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from atrcnas import ContextConfig, Experiment
from atrcnas.engine.compare import Comparison, compare
from atrcnas.engine.compare_table import as_csv, save, text
from atrcnas.engine.evaluate import add_latency
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_json, write_yaml
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results, write_results
from tests.conftest import TINY


def make_run(path: Path, semseg: float, depth: float | None, seed: int = 0, preset: str = "baseline") -> Path:
    """A finished run's files, without the training."""
    tasks = ["semseg"] if depth is None else ["semseg", "depth"]
    experiment = Experiment.load({**TINY, "tasks": tasks, "seed": seed})
    folder = RunFolder(path)
    write_yaml(folder.experiment, experiment.dump())
    kinds = ContextConfig.load(preset).kinds(tasks)
    ContextConfig.from_kinds(kinds).save(folder.contexts)
    scores: dict[str, Any] = {"semseg": {"miou": semseg, "pixel_accuracy": 0.9}}
    if depth is not None:
        scores["depth"] = {"rmse": depth, "abs_rel": 0.1}
    latency = {"median": 10.0 + seed, "low": 9.0, "high": 12.0, "repeats": 20, "threads": 1, "device": "cpu"}
    costs = {"image_size": [64, 96], "parameters": 500_000, "multiply_adds": 10**8, "latency_ms": latency}
    chosen = {"selection": 0.5, "selected_on": {"split": "train", "samples": 4}, "keep": "last"}
    write_json(folder.results, {"experiment": "tiny", "seed": seed, "scores": scores, "costs": costs, **chosen})
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two seeds of one preset, and one of another."""
    return [
        make_run(tmp_path / "base-s0", 0.40, 1.0, seed=0),
        make_run(tmp_path / "base-s1", 0.44, 0.8, seed=1),
        make_run(tmp_path / "local", 0.45, 0.9, preset="uniform-local"),
    ]


def test_seeds_of_one_configuration_are_one_row(runs: list[Path]) -> None:
    base, local = compare(runs).rows
    assert (base.name, len(base.runs), local.name, len(local.runs)) == ("base-s", 2, "local", 1)
    assert base.scores["semseg"].mean == pytest.approx(0.42)
    assert base.scores["semseg"].std == pytest.approx(statistics.stdev([0.40, 0.44]))
    assert base.latency_ms.mean == pytest.approx(10.5)
    assert local.scores["depth"].std is None and local.delta_m is None


def test_where_a_run_was_computed_does_not_change_its_configuration(tmp_path: Path) -> None:
    here, there = make_run(tmp_path / "here", 0.4, 1.0), make_run(tmp_path / "there", 0.5, 1.0, seed=1)
    experiment = RunFolder(there).load_experiment()
    moved = experiment.replace(name="other", devices="cpu", launch={"engine": "processes", "workers": 2})
    write_yaml(RunFolder(there).experiment, moved.dump())
    assert len(compare([here, there]).rows) == 1
    other = moved.replace(retrain={"steps": experiment.retrain.steps + 1})
    write_yaml(RunFolder(there).experiment, other.dump())
    assert len(compare([here, there]).rows) == 2


def test_a_run_that_chose_on_what_it_reports_is_noted(runs: list[Path]) -> None:
    for run, split, keep in zip(runs, ("train", "val", "val"), ("best", "last", "best"), strict=True):
        results = json.loads((run / "results.json").read_text())
        write_json(run / "results.json", {**results, "keep": keep, "selected_on": {"split": split, "samples": 4}})
    notes = [line for line in text(compare(runs)) if "chosen on the reported split" in line]
    assert len(notes) == 1 and "local" in notes[0] and "base" not in notes[0]


def test_a_config_chosen_by_trials_on_what_is_reported_is_noted_and_a_trial_itself_refused(runs: list[Path]) -> None:
    results = json.loads((runs[2] / "results.json").read_text())
    by_trials = {**results, "config_by_trials": True, "selected_on": {"split": "val", "samples": 4}}
    write_json(runs[2] / "results.json", by_trials)
    assert any("local" in line and "chosen on the reported split" in line for line in text(compare(runs)))
    write_json(runs[2] / "results.json", {**results, "scores_on": "train"})
    with pytest.raises(RunError, match=r"results\.json: expected scores on the validation split"):
        compare(runs)


def test_where_the_loggers_differ_it_is_one_configuration(runs: list[Path]) -> None:
    folder = RunFolder(runs[1])
    write_yaml(folder.experiment, folder.load_experiment().replace(loggers={"tensorboard": {}}).dump())
    assert len(compare(runs).rows) == 2


def test_latencies_of_deployed_forms_are_kept_next_to_the_one_compared(runs: list[Path]) -> None:
    latency = {"median": 1.0, "low": 1.0, "high": 1.0, "repeats": 20, "threads": 1, "device": "cpu"}
    for form in ("onnxruntime", "compiled"):
        costs = add_latency(RunFolder(runs[0]), form, latency)["costs"]
    assert costs["latency_ms_deployed"] == {"onnxruntime": latency, "compiled": latency}
    assert compare(runs).rows[0].latency_ms.mean == pytest.approx(10.5)


def test_searched_runs_of_several_seeds_are_one_row_whatever_they_chose(tmp_path: Path) -> None:
    paths = [
        make_run(tmp_path / "s0/searched", 0.4, 1.0, 0, "uniform-local"),
        make_run(tmp_path / "s1/searched", 0.5, 1.0, 1, "uniform-global"),
    ]
    assert len(compare(paths).rows) == 2
    for path in paths:
        (path / "search/checkpoints").mkdir(parents=True)
    (row,) = compare(paths).rows
    assert row.name == "searched" and row.scores["semseg"].mean == pytest.approx(0.45)


def test_delta_m_is_against_the_mean_of_the_baselines(runs: list[Path]) -> None:
    base, local = compare(runs[2:], runs[:2]).rows
    expected = 100 * ((0.45 - 0.42) / 0.42 - (0.9 - 0.9) / 0.9) / 2
    assert local.delta_m is not None and base.delta_m is not None
    assert local.delta_m.mean == pytest.approx(expected)
    assert base.delta_m.mean == pytest.approx(0, abs=1e-9) and base.delta_m.std is not None


def test_single_task_runs_are_a_baseline_together(runs: list[Path], tmp_path: Path) -> None:
    alone = make_run(tmp_path / "single-semseg", 0.5, None)
    with pytest.raises(RunError, match=r"--baseline: .*no score for task 'depth'.*base-s0"):
        compare(runs, [alone])
    rows = {row.name: row for row in compare(runs, [alone, runs[0]]).rows}
    assert set(rows["single-semseg"].scores) == {"semseg"}
    found = rows["local"].delta_m
    assert found is not None and found.mean == pytest.approx(100 * ((0.45 - 0.45) / 0.45 + (1.0 - 0.9) / 1.0) / 2)


def test_a_run_given_twice_counts_once(runs: list[Path]) -> None:
    assert len(compare([runs[0], runs[0].parent / "local/../base-s0"]).rows[0].runs) == 1


def test_the_text_has_units_arrows_and_spread(runs: list[Path]) -> None:
    head, first, second, *notes = text(compare(runs, runs[:1]))
    assert "semseg miou ↑" in head and "depth rmse (m) ↓" in head and "Delta_m (%) ↑" in head
    assert "0.4200 ± 0.0283" in first and "10.5 ± 0.7" in first and "0.500" in first and "64x96" in first
    assert "+11.25" in second and "±" not in second
    assert notes == ["Over several runs: mean ± sample standard deviation."]
    assert "±" in first and "500000" not in first


def test_csv_has_full_digits_and_markdown_a_rule(runs: list[Path], tmp_path: Path) -> None:
    comparison = compare(runs, runs[:1])
    first, second = csv.DictReader(save(comparison, tmp_path / "out/table.csv").read_text().splitlines())
    assert float(first["semseg.miou.std"]) == pytest.approx(statistics.stdev([0.40, 0.44]))
    assert first["runs"] == "2" and first["parameters"] == "500000.0" and second["depth.rmse.std"] == ""
    lines = save(comparison, tmp_path / "table.md").read_text().splitlines()
    assert lines[1].startswith("| --- | ---: |") and {line.count("|") for line in lines[:4]} == {11}
    with pytest.raises(RunError, match=r"expected a \.csv or \.md"):
        save(comparison, tmp_path / "table.txt")


def test_steps_are_shown_and_noted_where_they_differ(runs: list[Path]) -> None:
    head, first, *rest = text(compare(runs))
    assert "steps" in head and first.split()[2] == str(TINY["retrain"]["steps"])
    assert not any("numbers of steps" in line for line in rest)
    longer = RunFolder(runs[2]).load_experiment().replace(retrain={"steps": 70})
    write_yaml(RunFolder(runs[2]).experiment, longer.dump())
    assert any("different numbers of steps (4, 70)" in line for line in text(compare(runs)))
    assert csv_rows(compare(runs))[-1]["steps"] == "70"


def csv_rows(comparison: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(as_csv(comparison).splitlines()))


def test_other_sizes_and_machines_are_noted(runs: list[Path]) -> None:
    value = json.loads((runs[2] / "results.json").read_text())
    value["costs"]["image_size"], value["costs"]["latency_ms"]["threads"] = [32, 32], 8
    write_json(runs[2] / "results.json", value)
    notes = "\n".join(text(compare(runs)))
    assert "different sizes" in notes and "cpu, 8 threads" in notes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not there yet"),
        ("{", "expected JSON"),
        ("[]", "content"),
        ('{"scores": {}}', "costs"),
        ('{"scores": {"semseg": {}, "depth": {"rmse": 1}}', "expected JSON"),
        ("drop depth", "expected scores of semseg, depth, got semseg"),
        ("empty depth", "expected scores of semseg, depth, got semseg"),
        ("text score", "scores.depth.rmse"),
    ],
)
def test_missing_or_broken_results_name_their_file(runs: list[Path], content: str | None, says: str) -> None:
    path = runs[1] / "results.json"
    value = json.loads(path.read_text())
    changes = {"drop depth": None, "empty depth": {}, "text score": {"rmse": "good"}}
    if content is None:
        path.unlink()
    elif content in changes:
        value["scores"]["depth"] = changes[content]
        write_json(path, {**value, "scores": {k: v for k, v in value["scores"].items() if v is not None}})
    else:
        path.write_text(content)
    with pytest.raises(RunError) as caught:
        compare(runs)
    assert str(path) in str(caught.value) and says in str(caught.value) and "atrcnas evaluate" in str(caught.value)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run folder, got one without experiment\.yaml"):
        compare([tmp_path])


def test_a_score_that_is_not_finite_is_null_with_its_reason_in_strict_json(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 0.4, 1.0)
    results = read_results(run)
    results["scores"]["depth"] = {"rmse": math.nan, "abs_rel": 0.1}
    write_results(run / "results.json", results)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    stored = json.loads((run / "results.json").read_text(), parse_constant=refuse)
    assert stored["scores"]["depth"] == {"rmse": None, "abs_rel": 0.1}
    assert list(stored["undefined"]) == ["depth.rmse"]
    assert "no pixel" in stored["undefined"]["depth.rmse"]
    add_latency(RunFolder(run), "onnxruntime", {"median": 1.0, "threads": 1, "device": "cpu"})
    assert math.isnan(read_results(run)["scores"]["depth"]["rmse"])
