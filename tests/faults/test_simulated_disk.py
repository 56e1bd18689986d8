"""The simulation itself: what it lets a disk forget, and that it notices writers who forget to sync."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from atrcnas.ground.files import write_text
from tests.faults.disk import Disk, State, read_state
from tests.faults.layer import FAULTS, Layer

OLD, NEW = b"old" * 500, b"new" * 700


def rename_without_sync(path: Path) -> None:
    path.with_name("new").write_bytes(NEW)
    path.with_name("new").replace(path)


def sync_without_folder(path: Path) -> None:
    with path.with_name("new").open("wb") as stream:
        stream.write(NEW)
        stream.flush()
        os.fsync(stream.fileno())
    path.with_name("new").replace(path)


def whole(path: Path) -> None:
    write_text(path, NEW.decode())


def written(root: Path, write: Callable[[Path], object]) -> tuple[Layer, int]:
    """What is done to a file that has an old, synced content; and how many operations that content took."""
    with Layer(root) as layer:
        write_text(root / "file", OLD.decode())
        before = len(layer.done)
        write(root / "file")
    assert Disk(layer.done).kept() == read_state(root)
    return layer, before


def states(layer: Layer, first: int) -> list[State]:
    return [
        Disk(layer.done[:number]).crashed(seed) for number in range(first, len(layer.done) + 1) for seed in range(50)
    ]


@pytest.mark.parametrize(
    ("write", "torn", "durable"),
    [
        (lambda path: path.write_bytes(NEW), True, False),
        (rename_without_sync, True, False),
        (sync_without_folder, False, False),
        (whole, False, True),
    ],
    ids=["in place", "no sync at all", "no sync of the folder", "ours"],
)
def test_only_a_whole_writer_survives(
    tmp_path: Path, write: Callable[[Path], object], torn: bool, durable: bool
) -> None:
    layer, before = written(tmp_path, write)
    found = {state.get("file") for state in states(layer, before)}
    assert {OLD, NEW} <= found or (torn and len(found) > 2)
    assert bool(found - {OLD, NEW}) == torn
    after = {Disk(layer.done).crashed(seed).get("file") for seed in range(50)}
    assert (after == {NEW}) == durable


def test_a_writer_in_place_can_leave_old_and_new_sectors_zeros_and_nothing(tmp_path: Path) -> None:
    layer, before = written(tmp_path, lambda path: path.write_bytes(NEW))
    found = {state["file"] for state in states(layer, before)}
    assert b"" in found and bytes(len(NEW)) in found
    mixed = [content for content in found if content and b"old" in content and b"new" in content]
    assert mixed and all(len(content) <= len(NEW) for content in mixed)


def test_names_in_a_folder_are_lost_in_any_order_until_it_is_synced(tmp_path: Path) -> None:
    with Layer(tmp_path) as layer:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(b"")
        unsynced = len(layer.done)
        folder = os.open(tmp_path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        (tmp_path / "a").unlink()
        (tmp_path / "b").rename(tmp_path / "c")
    names = [{"".join(sorted(Disk(layer.done[:end]).crashed(seed))) for seed in range(50)} for end in (unsynced, None)]
    assert names == [{"", "a", "b", "ab"}, {"ab", "b", "ac", "c"}]


def test_every_way_to_change_a_folder_is_seen(tmp_path: Path) -> None:
    with Layer(tmp_path) as layer:
        (tmp_path / "new/er").mkdir(parents=True)
        (tmp_path / "new/text").write_text("ä" * 9, encoding="utf-8")
        shutil.copyfile(tmp_path / "new/text", tmp_path / "copy")
        with (tmp_path / "copy").open("r+b") as stream:
            stream.seek(4)
            stream.write(b"middle")
            stream.truncate(8)
        os.truncate(tmp_path / "new/text", 3)
        with (tmp_path / "new/text").open("a") as text:
            text.write("end")
        (tmp_path / "new/text").rename(tmp_path / "new/er/moved")
        shutil.copytree(tmp_path / "new", tmp_path / "gone")
        shutil.rmtree(tmp_path / "gone")
        (tmp_path / "copy").rename(tmp_path / "new/copy")
    assert read_state(tmp_path) == Disk(layer.done).kept()
    assert read_state(tmp_path)["new/copy"] == "ää".encode() + b"midd"
    assert layer.count >= len(layer.done) > 20


@pytest.mark.parametrize("fault", FAULTS)
def test_an_operation_meets_a_fault_on_request(tmp_path: Path, fault: str) -> None:
    with Layer(tmp_path, 1, fault), (tmp_path / "file").open("wb", buffering=0) as stream:
        if fault == "full":
            assert stream.write(b"12345678") == 4, "a disk that fills up takes a part"
        with pytest.raises(OSError, match="file") as caught:
            stream.write(b"5678")
        assert caught.value.errno == FAULTS[fault]
        if fault == "error":
            stream.write(b"whole")
        with contextlib.suppress(OSError):
            (tmp_path / "file").unlink()
    assert (tmp_path / "file").exists() == (fault == "read-only")
