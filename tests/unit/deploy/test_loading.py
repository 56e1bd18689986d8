from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from atrcnas.deploy.loading import load_exported
from atrcnas.ground.errors import ExportError


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def _pickled(_: bytes) -> bytes:
    return pickle.dumps({"x": _Payload()}, protocol=2)


def _json(change: Callable[[dict], None]) -> Callable[[bytes], bytes]:
    def edit(old: bytes) -> bytes:
        value = json.loads(old)
        change(value)
        return json.dumps(value).encode()

    return edit


def _expression(program: dict) -> None:
    text = json.dumps(program).replace("Symbol('s", "__import__('os').system('s", 1)
    program.clear()
    program.update(json.loads(text))


ATTACKS = {
    "function": (
        "models/model.json",
        _json(lambda p: p["graph_module"]["graph"]["nodes"][0].update(target="torch.os.system")),
    ),
    "guards": ("models/model.json", _json(lambda p: p.update(guards_code=["exit()"]))),
    "expression": ("models/model.json", _json(_expression)),
    "range": (
        "models/model.json",
        _json(lambda p: p.update(range_constraints={"exit()": {"min_val": 1, "max_val": None}})),
    ),
    "pickled weight": (
        "data/weights/model_weights_config.json",
        _json(lambda c: next(iter(c["config"].values())).update(use_pickle=True)),
    ),
    "library": ("data/aotinductor/model/a.so", lambda _: b"ELF"),
    "object": ("data/constants/opaque_obj_0", _pickled),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_pt2_that_could_execute_code_is_refused(exported, tmp_path: Path, attack: str) -> None:
    entry, edit = ATTACKS[attack]
    with pytest.raises(ExportError, match="refused"):
        load_exported(_rewritten(exported("mixed", ".pt2").report.path, tmp_path / "net.pt2", entry, edit))


def test_the_same_archive_unchanged_is_accepted(exported, tmp_path: Path) -> None:
    path = _rewritten(exported("mixed", ".pt2").report.path, tmp_path / "net.pt2", "byteorder", lambda old: old)
    assert load_exported(path).metadata.tasks


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"not a network", "half"])
def test_a_damaged_file_is_named(exported, tmp_path: Path, suffix: str, content: bytes | str) -> None:
    path = tmp_path / f"net{suffix}"
    whole = exported("mixed", suffix).report.path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(ExportError, match=f"net{suffix}"):
        load_exported(path)


def test_an_onnx_file_from_elsewhere_is_refused(exported, tmp_path: Path) -> None:
    model = onnx.load(exported("mixed", ".onnx").report.path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ExportError, match="exported by atrcnas"):
        load_exported(tmp_path / "net.onnx")


@pytest.mark.parametrize("name", ["net.pth", "absent.onnx"])
def test_another_suffix_or_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=name):
        load_exported(tmp_path / name)


def test_the_pickled_inputs_of_a_pt2_are_never_read(exported, tmp_path: Path) -> None:
    path = _rewritten(
        exported("mixed", ".pt2").report.path, tmp_path / "net.pt2", "data/sample_inputs/model.pt", _pickled
    )
    assert load_exported(path).metadata.tasks


def _rewritten(source: Path, target: Path, entry: str, edit: Callable[[bytes], bytes]) -> Path:
    """Copy an archive with one entry changed or added; stored uncompressed and aligned, as torch reads it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        wanted = f"{names[0].split('/')[0]}/{entry}"
        for name in dict.fromkeys([*names, wanted]):
            content = old.read(name) if name in names else b""
            new.writestr(name, edit(content) if name == wanted else content)
    return target
