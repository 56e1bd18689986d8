"""Files that move: an experiment with its data, a run, and the data of a run; and the test split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.dataset_files import write_folder
from atrcnas import Experiment
from atrcnas.data.rooms import Rooms
from tests.conftest import TINY
from tests.e2e.test_command_line import atrcnas, refused


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an experiment beside its data, and a run made from outside of it."""
    home = tmp_path_factory.mktemp("home")
    options = Rooms.Options(image_size=(64, 64), train_size=6, val_size=2)
    for split in ("train", "val"):
        write_folder(Rooms(options, split, ("semseg", "depth")), home / "project/data", split)  # type: ignore[arg-type]
    shutil.copytree(home / "project/data/val", home / "project/data/held/back")
    data = {"name": "folder", "options": {"root": "data", "classes": {"semseg": 15}}}
    retrain = {**TINY["retrain"], "steps": 2}
    (home / "project/mine.yaml").write_text(yaml.safe_dump({**TINY, "name": "mine", "data": data, "retrain": retrain}))
    done = atrcnas(home, "retrain", "project/mine.yaml", "--contexts", "baseline", "--run", "run")
    assert done.returncode == 0, done.stderr
    return home


def results(run: Path) -> Any:
    return json.loads((run / "results.json").read_text())


def test_paths_in_a_file_count_from_its_folder_and_are_absolute_in_a_run(home: Path) -> None:
    stored = yaml.safe_load((home / "run/experiment.yaml").read_text())
    assert stored["data"]["options"]["root"] == str(home / "project/data")


def test_a_moved_run_is_scored_from_any_folder(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "elsewhere")
    assert atrcnas(tmp_path, "evaluate", "elsewhere").returncode == 0
    assert results(tmp_path / "elsewhere")["scores"] == results(home / "run")["scores"]


def test_data_that_has_moved_is_found_where_the_command_says(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    shutil.copytree(home / "project/data", tmp_path / "moved")
    stored = yaml.safe_load((tmp_path / "run/experiment.yaml").read_text())
    stored["data"]["options"]["root"] = str(tmp_path / "gone")
    (tmp_path / "run/experiment.yaml").write_text(yaml.safe_dump(stored))
    assert "gone: expected the data set's folder, got nothing there" in refused(tmp_path, "evaluate", "run")
    done = atrcnas(tmp_path, "evaluate", "run", "data.options.root=moved")
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "run")["scores"] == results(home / "run")["scores"]
    assert atrcnas(tmp_path, "resume", "run", "data.options.root=moved").returncode == 0
    assert stored_root(tmp_path / "run") == str(tmp_path / "moved"), "written down, absolute"


def stored_root(run: Path) -> str:
    return str(yaml.safe_load((run / "experiment.yaml").read_text())["data"]["options"]["root"])


def test_the_test_split_is_scored_beside_the_validation_split(home: Path, tmp_path: Path) -> None:
    """Here the test images are copies of the validation images, and so are their scores."""
    shutil.copytree(home / "run", tmp_path / "run")
    assert "test_split" in refused(tmp_path, "evaluate", "run", "--split", "test")
    before = results(tmp_path / "run")
    done = atrcnas(tmp_path, "evaluate", "run", "--split", "test", "data.options.test_split=held/back")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("semseg: miou ") and "latency" not in done.stdout
    after = results(tmp_path / "run")
    assert after.pop("test") == {"scores": before["scores"], "samples": 2}
    assert after == before


def test_only_where_files_are_may_be_changed(home: Path) -> None:
    for line in (["evaluate", "run", "retrain.steps=3"], ["resume", "run", "data.options.classes={semseg: 3}"]):
        message = refused(home, *line)
        assert "expected a key that says where a run finds its files" in message and "data.options.root" in message


def test_a_path_that_no_system_takes_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    for root in ("x" * 5000, "a\0b"):
        data = {"name": "folder", "options": {"root": root, "classes": {"semseg": 15}}}
        (tmp_path / "odd.yaml").write_text(yaml.safe_dump({**TINY, "data": data}))
        assert Experiment.load(tmp_path / "odd.yaml").data.options["root"].endswith(root)


def test_what_is_only_in_the_current_folder_is_taken_with_a_word(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "files").mkdir()
    shutil.copy(home / "project/mine.yaml", tmp_path / "files")
    monkeypatch.chdir(home / "project")
    loaded = Experiment.load(tmp_path / "files/mine.yaml")
    assert loaded.data.options["root"] == "data"
    assert f"{tmp_path}/files/data is not there; taking {home}/project/data" in capsys.readouterr().err
    long = Experiment.load(
        tmp_path / "files/mine.yaml", ["data={name: folder, options: {root: x, classes: {semseg: 15}}}"]
    )
    assert long.data.options["root"] == "x", "a section from the command line counts from here, too"
    given = Experiment.load(tmp_path / "files/mine.yaml", ["data.options.root=../project/data"])
    assert given.data.options["root"] == "../project/data", "as on any command line"
    assert capsys.readouterr().err == ""
    monkeypatch.chdir(tmp_path)
    assert Experiment.load("files/mine.yaml").data.options["root"] == "files/data", "named in messages as it should be"
