"""Images, arrays, checkpoints, weights and archives that are damaged or hostile: refused by name, in bounded memory."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load

from atrcnas.data import unpack as unpacking
from atrcnas.data.rasters import read_array, read_image, read_size
from atrcnas.data.unpack import unpack
from atrcnas.engine.checkpoints import read_checkpoint, read_weights, save_weights
from atrcnas.ground.errors import CheckpointError, DataError
from atrcnas.nn.backbone import Backbone
from tests.fuzz.cases import accepted, equal_or_refused, fuzz

HOME = Path(tempfile.mkdtemp(prefix="atrcnas-fuzz-files-"))
STATE = {"net": {"w": torch.arange(200.0), "n": torch.tensor(3)}, "step": 7}


def _encoded(suffix: str) -> bytes:
    path = HOME / f"seed{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    if suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path, exif=exif) if suffix != ".bmp" else Image.fromarray(pixels).save(path)
    return path.read_bytes()


def _saved() -> bytes:
    sink = io.BytesIO()
    torch.save(STATE, sink)
    return sink.getvalue()


IMAGES = {suffix: _encoded(suffix) for suffix in (".png", ".jpg", ".webp", ".bmp", ".tif", ".npy")}
CHECKPOINT = _saved()


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Up to four bytes changed, most of them near the start or the end, or a part cut off."""
    changed = bytearray(content)
    last = len(content) - 1
    places = st.one_of(st.integers(0, min(120, last)), st.integers(0, last), st.integers(max(0, last - 200), last))
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(places)] = draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
    return bytes(changed[: draw(places)] if draw(st.integers(0, 3)) == 0 else changed)


@fuzz(300)
@example(case=(".png", IMAGES[".png"][:60]))
@example(case=(".tif", IMAGES[".tif"][:-40]))
@example(case=(".npy", IMAGES[".npy"][:9]))
@given(case=st.sampled_from(sorted(IMAGES)).flatmap(lambda suffix: st.tuples(st.just(suffix), damaged(IMAGES[suffix]))))
def test_a_damaged_image_is_read_or_refused_by_name(case: tuple[str, bytes]) -> None:
    suffix, content = case
    path = HOME / f"image{suffix}"
    path.write_bytes(content)
    for read in (read_size, read_array, *([read_image] if suffix != ".npy" else [])):
        accepted(lambda read=read: read(path), path, error=DataError)  # type: ignore[misc]


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _npy(descr: str, shape: Any) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(sink, {"descr": descr, "fortran_order": False, "shape": shape})
    return sink.getvalue() + bytes(64)


def _npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


HOSTILE: dict[str, bytes] = {
    "png 2e9 x 2e9": _png(2**31 - 1, 2**31 - 1),
    "png 10000 x 10000": _png(10_000, 10_000),
    "png 0 x 5": _png(0, 5),
    "png 20000 x 2": _png(20_000, 2),
    "npy 1e6 x 1e6": _npy("<f8", (10**6, 10**6)),
    "npy 2**70": _npy("<f8", (2**70, 2)),
    "npy negative": _npy("<f8", (-1, -1)),
    "npy subarray": _npy("<f8", "(1,"),
    "npy long double": _npy("<f16", (2, 2)),
    "npy objects": _npy("|O", (2, 2)),
    "npy header of minuses": _npy_header("-" * 9000 + "1"),
    "npy header of brackets": _npy_header("(" * 9000),
    "npy empty": b"",
    "png empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_promises_too_much_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"x.{name[:3]}"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(DataError, match=r"x\.(png|npy): "):
        read_array(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (20_000, 40)])
def test_tiny_and_wide_images_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").shape == (size[1], size[0], 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_target_that_says_it_is_turned_is_refused(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x{suffix}"
    Image.new("L", (8, 8)).save(path, exif=exif)
    if orientation == 1:
        assert read_array(path).shape == (8, 8)
    else:
        with pytest.raises(
            DataError, match=f"x.{suffix[1:]}: expected a target stored upright, got EXIF .* {orientation}"
        ):
            read_array(path)


@fuzz(200)
@example(content=CHECKPOINT[:-1])
@example(content=CHECKPOINT.replace(b"step", b"stop"))
@given(content=damaged(CHECKPOINT))
def test_a_damaged_checkpoint_reads_as_before_or_is_refused(content: bytes) -> None:
    def same(state: Any) -> bool:
        return state["step"] == 7 and all(torch.equal(state["net"][key], value) for key, value in STATE["net"].items())  # type: ignore[index]

    equal_or_refused(HOME / "last.ckpt", content, read_checkpoint, same, CheckpointError)


def _weights() -> bytes:
    torch.manual_seed(0)
    save_weights(torch.nn.Linear(8, 4), HOME / "seed.safetensors")
    return (HOME / "seed.safetensors").read_bytes()


WEIGHTS = _weights()
INTACT = load(WEIGHTS)


@fuzz(200)
@example(content=WEIGHTS[:-1])
@example(content=WEIGHTS[:-1] + b"!")
@given(content=damaged(WEIGHTS))
def test_damaged_weights_read_as_before_or_are_refused(content: bytes) -> None:
    def same(state: Any) -> bool:
        return set(state) == set(INTACT) and all(torch.equal(state[key], value) for key, value in INTACT.items())

    equal_or_refused(HOME / "model.safetensors", content, read_weights, same, CheckpointError)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def _bomb(path: Path) -> None:
    torch.save({"net": torch.zeros(30_000_000, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as plain:
        members = {info.filename: plain.read(info) for info in plain.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)


def _nested(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


def _huge_bytearray(path: Path) -> None:
    path.write_bytes(b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + (2**46).to_bytes(6, "little") + b"\x85R.")


def _executes(path: Path) -> None:
    path.write_bytes(pickle.dumps({"net": _Payload(path.with_name("ran"))}))


def _executes_in_zip(path: Path) -> None:
    torch.save({"net": _Payload(path.with_name("ran"))}, path)


FORGED = [_bomb, _nested, _huge_bytearray, _executes, _executes_in_zip]


@pytest.mark.parametrize("forge", FORGED)
def test_a_forged_checkpoint_is_refused_unread(tmp_path: Path, forge: Callable[[Path], None]) -> None:
    path = tmp_path / "last.ckpt"
    forge(path)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: "):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    weights = path.rename(tmp_path / "weights.pth")
    if forge is not _bomb:
        with pytest.raises(CheckpointError, match=r"weights\.pth"):
            Backbone("mobilenetv3_small_050", weights=str(weights))
        assert not (tmp_path / "ran").exists()


def _tar(*members: tuple[str, bytes, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


PLAIN = _tar(("a/x", tarfile.REGTYPE, b"1" * 700), ("a/y", tarfile.REGTYPE, b"2" * 10))


@fuzz(200)
@example(content=PLAIN[:700], number=0)
@example(content=PLAIN.replace(b"a/x", b"../"), number=1)
@given(content=damaged(PLAIN), number=st.integers(0, 10**9))
def test_a_damaged_archive_is_unpacked_or_refused_and_stays_inside(content: bytes, number: int) -> None:
    archive, root = HOME / "a.tar", HOME / f"unpacked{number}" / "root"
    archive.write_bytes(content)
    accepted(lambda: unpack(archive, root), archive, root, error=DataError)
    assert not [path for path in (HOME / f"unpacked{number}").iterdir() if path != root]


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([("./././@LongLink", tarfile.GNUTYPE_LONGNAME, bytes(3_000_000))], "a header or an end of more than"),
        ([("x", tarfile.XHDTYPE, bytes(3_000_000))], "a header or an end of more than"),
        ([("x", tarfile.GNUTYPE_LONGNAME, b"x\0")] * 900, "damaged"),
        ([("n" * 300, tarfile.REGTYPE, b"1")], "a plain name"),
        ([("a", tarfile.REGTYPE, b"1"), ("a/b", tarfile.REGTYPE, b"1")], "cannot read the archive or write"),
    ],
)
def test_headers_without_bound_and_impossible_names_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes, bytes]], match: str
) -> None:
    (tmp_path / "a.tar").write_bytes(_tar(*members))
    with pytest.raises(DataError, match=match):
        unpack(tmp_path / "a.tar", tmp_path / "root")


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(unpacking, "SMALL_BYTES", 1000)
    path = tmp_path / f"a.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/x", bytes(3_000_000))
    else:
        with tarfile.open(path, "w:gz") as packed:
            info = tarfile.TarInfo("a/x")
            info.size = 3_000_000
            packed.addfile(info, io.BytesIO(bytes(3_000_000)))
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(path, tmp_path / "root")
    assert not list((tmp_path / "root").rglob("x*"))
