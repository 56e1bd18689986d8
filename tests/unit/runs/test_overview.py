"""The table of runs, from files as a run leaves them at each point."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from atrcnas import Experiment
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_yaml
from atrcnas.runs.overview import overview_lines


def made(root: Path, name: str, when: int, files: dict[str, str]) -> None:
    """A run folder with these files, last changed ``when`` seconds after 1970."""
    write_yaml(root / name / "experiment.yaml", Experiment.load("quickstart", ["tasks=[semseg,depth]"]).dump())
    for path, text in files.items():
        (root / name / path).parent.mkdir(exist_ok=True)
        (root / name / path).write_text(text)
    for path in (root / name).rglob("*"):
        os.utime(path, (when, when))


METRICS = "step,stage,task,name,value\n10,{0},,loss,1\n20,{0},,loss,1\n"
RESULTS = {
    "scores": {"semseg": {"miou": 0.25, "accuracy": 0.9}, "depth": {"rmse": None}},
    "costs": {
        "image_size": [4, 4],
        "parameters": 1,
        "multiply_adds": 1,
        "latency_ms": {"median": 1.0, "threads": 1, "device": "cpu"},
    },
}


def test_each_run_is_shown_as_far_as_it_has_come_the_last_changed_one_last(tmp_path: Path) -> None:
    made(tmp_path, "scored", 0, {"results.json": json.dumps(RESULTS)})
    made(tmp_path, "begun", 60, {})
    made(tmp_path, "searching", 120, {"search/metrics.csv": METRICS.format("search")})
    made(tmp_path, "retraining", 180, {f"{s}/metrics.csv": METRICS.format(s) for s in ("search", "retrain")})
    made(tmp_path, "by_trials", 240, {"search/trials.jsonl": "{}\n{}\n{}\n"})
    made(tmp_path, "sweep/trials/one", 300, {})
    made(tmp_path, "broken", 360, {"results.json": "{"})
    head, *rows = [line.split("  ") for line in overview_lines(tmp_path)]
    table = [[cell.strip() for cell in row if cell] for row in rows]
    assert [cell.strip() for cell in head if cell] == ["run", "stage", "steps", "tasks", "scores", "last change (UTC)"]
    assert table[:6] == [
        ["scored", "scored", "200/200", "semseg,depth", "semseg miou 0.2500, depth rmse nan", "1970-01-01 00:00"],
        ["begun", "begun", "-", "semseg,depth", "-", "1970-01-01 00:01"],
        ["searching", "search", "20/160", "semseg,depth", "-", "1970-01-01 00:02"],
        ["retraining", "retrain", "20/200", "semseg,depth", "-", "1970-01-01 00:03"],
        ["by_trials", "search", "2/20 trials", "semseg,depth", "-", "1970-01-01 00:04"],
        ["sweep/trials/one", "begun", "-", "semseg,depth", "-", "1970-01-01 00:05"],
    ]
    assert table[6][:2] == ["broken", "cannot be read"]


def test_a_folder_without_runs_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="atrcnas run EXPERIMENT"):
        list(overview_lines(tmp_path))
    with pytest.raises(RunError, match="expected a folder of runs"):
        list(overview_lines(tmp_path / "nowhere"))
