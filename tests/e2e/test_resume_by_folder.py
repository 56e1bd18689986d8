"""`atrcnas resume RUN` goes on with what began the run, with the overrides it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from atrcnas import resuming
from atrcnas.runs.folder import RunFolder
from tests.conftest import TINY
from tests.e2e.cut_runs import dies_at, same_files
from tests.e2e.test_command_line import atrcnas, refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


def test_a_search_goes_on_by_its_folder_alone(folder: Path) -> None:
    begun = ("search", "tiny.yaml", "seed=9", "search.steps=4", "search.validate_every=2")
    assert atrcnas(folder, *begun, "--run", "whole").returncode == 0
    with dies_at(3):
        atrcnas(folder, *begun, "--run", "cut")
    (folder / "tiny.yaml").unlink()
    done = atrcnas(folder, "resume", "cut")
    assert done.returncode == 0, done.stderr
    assert "from step 3 on" in done.stderr
    assert done.stdout.splitlines()[-1] == "contexts: cut/contexts.yaml", "and nothing is trained after a search"
    same_files(folder / "whole", folder / "cut", ["contexts.yaml", "search/logits.csv"])
    assert RunFolder(folder / "cut").began_by() == [*begun, "--run", "cut"], "what began it is still known"


@pytest.mark.parametrize(
    ("command", "files", "expected"),
    [
        (["run", "tiny.yaml"], [], "run_job"),
        (["--debug", "run", "tiny.yaml"], ["retrain/checkpoints/last.ckpt"], "run_job"),
        (["retrain", "tiny.yaml", "--contexts", "baseline"], ["contexts.yaml"], "retrain"),
        (None, ["contexts.yaml", "retrain/checkpoints/last.ckpt"], "retrain"),
        (None, ["search/checkpoints/last.ckpt"], "run_job"),
        (["search", "tiny.yaml"], ["search/checkpoints/last.ckpt"], "search"),
        (["pareto", "tiny.yaml"], ["search/trials.jsonl"], "pareto_lines"),
    ],
)
def test_what_began_a_run_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str] | None, files: list[str], expected: str
) -> None:
    called: list[str] = []

    def stand_in(name: str, found: object) -> None:
        monkeypatch.setattr(resuming, name, lambda *_, **__: called.append(name) or found)

    stand_in("run_job", [])
    stand_in("pareto_lines", [])
    stand_in("retrain", {})
    stand_in("search", type("Found", (), {"provenance": type("Provenance", (), {"undecided": {}})}))
    monkeypatch.setattr(RunFolder, "load_contexts", lambda _: None)
    (folder / "run").mkdir()
    (folder / "tiny.yaml").rename(folder / "run/experiment.yaml")
    (folder / "run/environment.json").write_text(json.dumps({"command": command}))
    for name in files:
        (folder / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "run" / name).touch()
    assert atrcnas(folder, "resume", "run").returncode == 0
    assert called == [expected]


def test_a_front_goes_on_with_its_budgets(folder: Path) -> None:
    begun = ("pareto", "tiny.yaml", "search.trials.number=5", "data.selection=0.2", "--run", "front")
    budget = "--budgets=parameters=1e9"
    asked = atrcnas(folder, *begun, budget)
    assert asked.returncode == 0, asked.stderr
    again = atrcnas(folder, "resume", "front")
    assert again.returncode == 0, again.stderr
    assert again.stdout.replace(str(folder) + "/", "") == asked.stdout
    assert again.stdout.startswith("parameters ") and not (folder / "front/retrain").exists()


def test_weights_of_the_reference_are_not_forgotten(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "tiny.yaml").rename(folder / "run/experiment.yaml")
    command = ["retrain", "tiny.yaml", "--contexts", "a.json", "--init-reference", "a.pth"]
    (folder / "run/environment.json").write_text(json.dumps({"command": command}))
    assert "Start it again: atrcnas retrain tiny.yaml" in refused(folder, "resume", "run")


def test_what_is_no_run_is_refused(folder: Path) -> None:
    assert "nowhere: expected a run folder" in refused(folder, "resume", "nowhere")
    (folder / "swept").mkdir()
    (folder / "swept/sweep.yaml").write_text("{}")
    assert "a sweep goes on as it began" in refused(folder, "resume", "swept", "seed=3")
