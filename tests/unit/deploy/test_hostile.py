"""Exported files from a stranger: nothing is executed, nothing is written outside, and every lie gets a message."""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from atrcnas.deploy.loading import load_exported
from atrcnas.deploy.metadata import KEY
from atrcnas.deploy.predict import predict_images
from atrcnas.deploy.predictor import Predictor
from atrcnas.ground.errors import AtrcnasError, ExportError

INPUTS = "data/sample_inputs/model.pt"


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A size that is believed fails the test and not the machine."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (8 * 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


class _Touch:
    """Unpickled, makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (self.path, "w"))


def _entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class _Zip:
    """A zip archive written record by record, so that it may have two directories."""

    def __init__(self) -> None:
        self.content = b""

    def file(self, name: str, content: bytes) -> bytes:
        """Add a file; return its line of a directory."""
        place, sizes = len(self.content), (zlib.crc32(content), len(content), len(content), len(name))
        self.content += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, *sizes, 0) + name.encode() + content
        return struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, 0, 0, place) + name.encode()

    def directory(self, lines: list[bytes]) -> int:
        """Add a directory and its ZIP64 end record; return where that is."""
        start, size = len(self.content), sum(map(len, lines))
        self.content += b"".join(lines)
        end = (b"PK\6\6", 44, 45, 45, 0, 0, len(lines), len(lines), size, start)
        self.content += struct.pack("<4sQ2H2L4Q", *end)
        return len(self.content) - 56

    def close(self, end: int) -> bytes:
        """The archive, whose locator points to the end record at ``end``."""
        tail = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        return self.content + tail + struct.pack("<4s4H2LH", b"PK\5\6", *[0xFFFF] * 4, *[0xFFFFFFFF] * 2, 0)


def _two_faced(honest: dict[str, bytes], entry: str, forged: bytes) -> bytes:
    """The record before the locator, which Python takes, lists ``honest``; the one it points to, torch's, the forgery."""
    archive = _Zip()
    shown = {name: archive.file(name, content) for name, content in honest.items()}
    forgery = archive.directory(list((shown | {entry: archive.file(entry, forged)}).values()))
    archive.directory(list(shown.values()))
    return archive.close(forgery)


def test_an_archive_with_two_directories_executes_nothing(exported, tmp_path: Path) -> None:
    honest = _entries(exported("mixed", ".pt2").report.path)
    entry = next(name for name in honest if name.endswith(INPUTS))
    forged = pickle.dumps(_Touch(tmp_path / "executed"), protocol=2)
    (tmp_path / "net.pt2").write_bytes(_two_faced(honest, entry, forged))
    with contextlib.suppress(ExportError):
        load_exported(tmp_path / "net.pt2")
    assert not (tmp_path / "executed").exists()


def test_an_entry_hidden_under_another_name_executes_nothing(exported, tmp_path: Path) -> None:
    honest = _entries(exported("mixed", ".pt2").report.path)
    entry = next(name for name in honest if name.endswith(INPUTS))
    forged = pickle.dumps(_Touch(tmp_path / "executed"), protocol=2)
    for name, changes in {
        "content": {entry: forged},
        "another case": {entry.upper(): forged},
        "first": {},
    }.items():
        path = tmp_path / f"{name}.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            for key, content in ({entry: forged} | honest | changes).items():
                archive.writestr(key, content)
        with contextlib.suppress(ExportError):
            load_exported(path)
    assert not (tmp_path / "executed").exists()


def test_an_archive_that_unpacks_to_more_than_itself_is_refused(exported, tmp_path: Path) -> None:
    honest = _entries(exported("mixed", ".pt2").report.path)
    entry = next(name for name in honest if name.endswith("weight_0"))
    with zipfile.ZipFile(tmp_path / "net.pt2", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (honest | {entry: bytes(10**8)}).items():
            archive.writestr(name, content)
    with pytest.raises(ExportError, match="compressed entry"):
        load_exported(tmp_path / "net.pt2")


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Change one key; ``TASK.key`` of the first task, ``tasks.NEW`` its name."""

    def edit(described: dict[str, Any]) -> None:
        first = next(iter(described["tasks"]))
        if key == "tasks":
            described["tasks"][value] = described["tasks"].pop(first) | {"name": value}
        elif key.startswith("TASK."):
            described["tasks"][first][key[5:]] = value
        else:
            described[key] = value

    return edit


LIES = {
    "a path as the name": _set("tasks", "x/../../esc"),
    "a path that is absolute": _set("tasks", "/tmp/esc"),
    "NUL in the name": _set("tasks", "a\0b"),
    "an output that is not there": _set("tasks", "unknown"),
    "a name that differs": _set("TASK.name", "../esc"),
    "decode as a list": _set("TASK.decode", ["argmax"]),
    "unknown decode": _set("TASK.decode", "exec"),
    "colours that are none": _set("TASK.class_colours", [[0, 0, 300]]),
    "endless class names": _set("TASK.class_names", ["x" * 300]),
    "unknown colour map": _set("TASK.display", "no such map"),
    "range of one": _set("TASK.display_range", [1.0]),
    "range without end": _set("TASK.display_range", [0.0, float("inf")]),
    "no height": _set("height", 0),
    "negative height": _set("height", -32),
    "enormous": lambda described: described.update(height=10**5, width=10**5),
    "another height": _set("height", 64),
    "height as text": _set("height", "50"),
    "channels": _set("TASK.channels", 77),
    "no channels": _set("TASK.channels", None),
    "no tasks": lambda described: described.update(tasks={}),
    "tasks as a list": lambda described: described.update(tasks=[1]),
    "a task as text": lambda described: described["tasks"].update(semseg="x"),
    "not a mapping": lambda described: described.clear(),
}


def _lying(source: Path, target: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A copy whose description is edited."""
    if target.suffix == ".onnx":
        model = onnx.load(source)
        described = json.loads(model.metadata_props[0].value)
        edit(described)
        model.metadata_props[0].value = json.dumps(described)
        onnx.save(model, target)
        return target
    entries = _entries(source)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            if name.endswith(f"extra/{KEY}"):
                described = json.loads(content)
                edit(described)
                content = json.dumps(described).encode()
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize("lie", LIES)
def test_what_an_onnx_file_says_of_itself_is_checked_and_nothing_lands_outside(
    exported, tmp_path: Path, lie: str
) -> None:
    path = _lying(exported("mixed", ".onnx").report.path, tmp_path / "net.onnx", LIES[lie])
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(AtrcnasError):
        predict_images(Predictor.from_file(path), [tmp_path / "a.png"], tmp_path / "deep" / "out")
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"net.onnx", "a.png"}
    assert not list((tmp_path / "deep").glob("esc*"))


@pytest.mark.parametrize("lie", ["a path as the name", "enormous"])
def test_what_a_pt2_file_says_of_itself_is_checked_too(exported, tmp_path: Path, lie: str) -> None:
    path = _lying(exported("mixed", ".pt2").report.path, tmp_path / "net.pt2", LIES[lie])
    with pytest.raises(ExportError, match=r"net\.pt2: "):
        load_exported(path)


def test_a_description_that_fits_no_drawing_gets_a_message(exported, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(tmp_path / "a.png")
    for display, decode in (("vector", "argmax"), ("viridis", "unit"), ("palette", "clamp")):
        edits = [_set("TASK.display", display), _set("TASK.decode", decode)]
        path = _lying(
            exported("mixed", ".onnx").report.path,
            tmp_path / "net.onnx",
            lambda described, edits=edits: [edit(described) for edit in edits],
        )
        with contextlib.suppress(AtrcnasError):
            predict_images(Predictor.from_file(path), [tmp_path / "a.png"], tmp_path / "out")
