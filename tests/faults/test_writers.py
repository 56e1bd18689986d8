"""Each of the package's writers on its own, at every operation it makes."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from atrcnas.engine.checkpoints import Checkpoints, save_weights
from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.ground.files import write_text
from atrcnas.launch.journal import Journal
from atrcnas.launch.run_trial import log_to
from atrcnas.runs.tables import METRICS, Table
from tests.faults.disk import Disk
from tests.faults.layer import FAULTS, Layer

Writer = Callable[[Path], object]


def checkpoints(folder: Path) -> None:
    for step in range(3):
        Checkpoints(folder / "checkpoints").save({"step": step, "net": torch.arange(9.0)})


def table(folder: Path) -> None:
    found = Table(folder / "search/metrics.csv", METRICS)
    found.begin()
    found.append([(1, "train", "", "loss", 0.5)])
    size = found.size()
    found.append([(2, "train", "", "loss", 0.4)])
    found.cut(size)
    assert found.size() == size


def journal(folder: Path) -> None:
    found = Journal(folder / "search/trials.jsonl", {"at_once": 1})
    for number in range(3):
        found.append({"number": number})


def log(folder: Path) -> None:
    with log_to(folder / "trials/0/log.txt"):
        print("step 1", file=sys.stderr)


WRITERS: dict[str, Writer] = {
    "text": lambda folder: write_text(folder / "new/er/f.txt", "text"),
    "weights": lambda folder: save_weights(torch.nn.Linear(8, 4), folder / "model.safetensors"),
    "checkpoints": checkpoints,
    "table": table,
    "journal": journal,
    "log": log,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", WRITERS)
def test_any_fault_is_one_message(name: str, fault: str, tmp_path: Path) -> None:
    for number in itertools.count():
        root = tmp_path / str(number)
        root.mkdir()
        with Layer(root, number, fault) as layer:
            try:
                WRITERS[name](root)
            except AtrcnasError as error:
                assert "cannot write" in str(error) and "Free some space" in str(error)
        if layer.count <= number:
            break
    assert number > 3


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "log"])
def test_what_was_written_survives_a_power_loss(name: str, tmp_path: Path) -> None:
    with Layer(tmp_path) as layer:
        WRITERS[name](tmp_path)
    assert Disk(layer.done).synced() == Disk(layer.done).kept() != {}


def test_a_line_that_a_full_disk_tore_is_not_continued(tmp_path: Path) -> None:
    found, number, torn = Journal(tmp_path / "trials.jsonl", {"at_once": 1}), 0, 0
    while not found.entries:
        number += 1
        with Layer(tmp_path, number, "full"), contextlib.suppress(RunError):
            found.append({"number": number})
        torn += not found.path.read_bytes().endswith(b"\n")
    assert torn
    found.append({"number": -1})
    assert Journal(found.path, {}).entries == [{"number": number}, {"number": -1}]


@pytest.mark.parametrize("word", ["write", "sync", "rename"])
def test_a_checkpoint_that_cannot_be_written_leaves_a_whole_one(word: str, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    with Layer(tmp_path) as layer:
        for step in range(3):
            kept.save({"step": step})
    first = len(layer.done) - next(i for i, each in enumerate(reversed(layer.done)) if each.name == "create") - 1
    number = next(i for i, each in enumerate(layer.done) if i > first and each.name == word)
    with Layer(tmp_path, number - first + 1), pytest.raises(AtrcnasError, match="cannot write"):
        kept.save({"step": 3})
    assert kept.last.is_file() and kept.load() == {"step": 2}


def test_a_save_that_died_between_its_renames_is_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints(tmp_path)
    kept = Checkpoints(tmp_path / "checkpoints")
    kept.last.replace(kept.previous)
    found = kept.load()
    assert found is not None and found["step"] == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read_weights(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_weights(torch.nn.Linear(8, 4), tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == 0o666 & ~umask


def test_a_file_system_that_cannot_sync_folders_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", sync)
    write_text(tmp_path / "new/f.txt", "text")
    assert (tmp_path / "new/f.txt").read_text() == "text"
