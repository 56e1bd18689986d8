"""Where NNI cannot be imported: its strategies by Optuna, and all else as ever; without either, one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from atrcnas import ContextConfig, Experiment, search
from atrcnas.ground.errors import RunError
from tests.conftest import TINY

SMALL = {
    **TINY,
    "data": {"name": "rooms", "options": {"image_size": [64, 64], "train_size": 8, "val_size": 2}},
    "space": {"schema": 1, "pairs": {"default": ["none", "local"]}},
    "search": {**TINY["search"], "steps": 1, "trials": {"number": 2, "steps": 1}},
    "retrain": {**TINY["retrain"], "steps": 1},
}
# Runs each line of its input as a command, in a process in which importing NNI fails as if it were not installed.
BLOCKED = """
import shlex, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "nni":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Blocked())
from atrcnas.cli import main

for line in sys.stdin:
    sys.argv = ["atrcnas", *shlex.split(line)]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
assert "nni" not in sys.modules
"""


def searched(folder: Path, strategy: str, *overrides: str, resume: bool = False) -> ContextConfig:
    return search(Experiment.load(SMALL, [f"search.strategy={strategy}", *overrides]), folder, resume)


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make what begins with these names impossible to import, whether or not it has been imported already."""
    ours = {"nni": "atrcnas.launch.strategies", "optuna": "atrcnas.launch.optuna_strategies"}
    for package in packages:
        loaded = [name for name in sys.modules if name.partition(".")[0] == package]
        for name in {*loaded, package, ours[package]}:
            monkeypatch.setitem(sys.modules, name, None)


def journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "search/trials.jsonl").read_text().splitlines()]


def test_a_search_by_tpe_one_by_gradient_retraining_and_plots_work_where_nni_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SMALL))
    commands = (
        "search tiny.yaml search.strategy=tpe --run tpe",
        "retrain tiny.yaml search.strategy=tpe --contexts tpe/contexts.yaml --run tpe",
        "plot tpe",
        "search tiny.yaml --run gumbel",
        "list strategies",
    )
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        input="\n".join(commands),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Optuna proposes, as nni.algorithms.hpo.tpe_tuner") == 1, done.stderr
    header, *entries = journal(tmp_path / "tpe")
    assert header == {"at_once": 1, "proposals": "optuna"} and len(entries) == 2
    assert ContextConfig.load(tmp_path / "tpe/contexts.yaml").provenance.proposals == "optuna"
    assert (tmp_path / "tpe/results.json").is_file() and list((tmp_path / "tpe/plots").iterdir())
    assert ContextConfig.load(tmp_path / "gumbel/contexts.yaml").provenance.strategy == "gumbel"


def test_a_search_goes_on_with_the_library_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as without_nni:
        hide(without_nni, "nni")
        whole = searched(tmp_path, "evolution")
    lines = (tmp_path / "search/trials.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "search/trials.jsonl").write_bytes(b"".join(lines[:2]))
    assert searched(tmp_path, "evolution", resume=True).pairs == whole.pairs
    assert "goes on with the proposals of optuna, as it began" in capsys.readouterr().err
    assert [entry.get("sample") for entry in journal(tmp_path)] == [json.loads(line).get("sample") for line in lines]
    with monkeypatch.context() as without_optuna:
        hide(without_optuna, "optuna")
        with pytest.raises(RunError, match=r"'evolution' needs optuna \("):
            searched(tmp_path, "evolution", resume=True)


def test_without_nni_an_older_search_by_it_is_not_continued_by_another_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(tmp_path, "random")
    path = tmp_path / "search/trials.jsonl"
    assert journal(tmp_path)[0] == {"at_once": 1, "proposals": "nni"}
    path.write_text(path.read_text().replace(', "proposals": "nni"', ""))
    before = path.read_bytes()
    hide(monkeypatch, "nni")
    with pytest.raises(RunError, match=r"'random' needs nni\.nas\.strategy \("):
        searched(tmp_path, "random", resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("strategy", "missing", "wanted", "says"),
    [
        (
            "tpe",
            ("nni", "optuna"),
            "auto",
            r"needs nni\.algorithms.* or optuna .*pip install 'atrcnas\[optuna\]', or choose",
        ),
        ("random", ("nni",), "nni", r"'random' needs nni\.nas\.strategy \(.*or choose gumbel"),
        ("rl", ("nni",), "auto", r"'rl' needs nni\.nas\.strategy and tianshou.*Install it, or choose gumbel"),
        ("rl", (), "optuna", "Optuna has nothing like strategy 'rl'. Choose one of random, evolution, tpe, grid"),
    ],
)
def test_where_neither_is_there_one_message_says_so_and_nothing_starts(
    strategy: str, missing: tuple[str, ...], wanted: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, *missing)
    with pytest.raises(RunError, match=says):
        searched(tmp_path / "run", strategy, f"search.trials.proposals={wanted}")
    assert not (tmp_path / "run").exists()
