"""What guided fuzzing found, and what it starts from, without the fuzzer; and a share of a campaign with it."""

from __future__ import annotations

import io
import json
import math
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz.guided.rule import judge
from tests.fuzz.guided.targets import TARGETS

KEPT = sorted(path for path in (Path(__file__).parent / "corpus").glob("*/*") if path.is_file())
SHARE = 2_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_broke_the_rule_once_keeps_it(path: Path) -> None:
    judge(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "pt2"])  # as "pt2-archive", but slower
def test_what_a_target_starts_from_is_accepted_in_part(name: str) -> None:
    target = TARGETS[name]
    assert any(judge(target, seed).refusal is None for seed in target.seeds())


def _zip(contents: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return sink.getvalue()


def _npz_of_zeros(megabytes: int) -> bytes:
    sink = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (megabytes * 1000, 1000, 1)}
    with (
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("image.npy", "w") as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, header)
        for _ in range(megabytes):
            entry.write(bytes(1_000_000))
    return sink.getvalue()


def _array() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.zeros((2, 2, 3)))
    return sink.getvalue()


def _pt2(program: Any, weights: int = 0, **last: bytes) -> bytes:
    configs = {f"x/data/{kind}/model_{kind}_config.json": b"{}" for kind in ("weights", "constants")}
    entries = {f"x/data/weights/weight_{number}": b"" for number in range(weights)}
    return _zip({"x/models/model.json": json.dumps(program).encode(), **configs, **entries, **last})


def _tar_of_header(kind: bytes, content: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, len(content)
        archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


_BYTEARRAY = b"\x80\x02cbuiltins\nbytearray\nJ" + (2 * 10**9).to_bytes(4, "little") + b"\x85R."
_HEX = (
    b"c_codecs\nencode\n" * 30
    + b"X\x04\x00\x00\x00aaaaX\x06\x00\x00\x00latin1\x86R"
    + b"X\x03\x00\x00\x00hex\x86R" * 29
)
_FLAGS = struct.pack("<4I", 6, 8, 6, 0)
_STRUCT, _SIDES, _ANNO = (
    struct.pack("<4I", 6, 8, 2, 0),
    struct.pack("<4I", 5, 8, 1, 1),
    struct.pack("<2I", 1, 4) + b"anno" + bytes(4),
)
_NOTHING = struct.pack("<4I", 5, 0, 1, 0)
_MATLAB = bytes(124) + b"\0\1IM"


def _matrix(*parts: bytes) -> bytes:
    return _MATLAB + struct.pack("<2I", 14, sum(map(len, parts))) + b"".join(parts)


_COLOURS = b"".join(b"0,%d,%d,%x\n" % (*divmod(number, 256), number) for number in range(50_000))
# Too large to keep as files, or plainer as what they are made of.
MADE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a field of 200,000 characters": ("metrics", lambda: b"step,stage,task,name,value\n1,a,b," + b"x" * 200_000 + b",1\n"),
    "a column twice": ("metrics", lambda: b"step,step,stage,task,name,value\n1,1,a,b,c,1\n"),
    "a step beyond 64 bits": ("metrics", lambda: b"step,stage,task,name,value\n1e300,a,b,c,1\n"),
    "a journal nested without end": ("journal", lambda: b'{"at_once": 2}\n' + b"[" * 100_000 + b"\n{}\n"),
    "digits that match in 2^60 ways": ("pt2-archive", lambda: _pt2({"expr_str": "1" * 60 + "x"})),
    "a power with 369 million digits": ("pt2-archive", lambda: _pt2({"expr_str": "Pow(Integer(9), Integer(387420489))"})),
    "an archive of 20,000 weights": ("pt2-archive", lambda: _pt2({}, 20_000, other=b"")),
    "a PAX header of a megabyte of digits": ("archive", lambda: _tar_of_header(tarfile.XHDTYPE, b"1" * 1_000_000)),
    "a bytearray of 2 GB": ("checkpoint", lambda: _BYTEARRAY),
    "text encoded again and again": ("checkpoint", lambda: b"\x80\x02" + _HEX + b"."),
    "a side of infinity": ("mat-labels", lambda: _matrix(_FLAGS, struct.pack("<2I2d", 9, 16, math.inf, 2))),
    "records without a length": ("mat-parts", lambda: _matrix(_STRUCT, _SIDES, _ANNO, _NOTHING)),
    "a step of 101 digits": ("reference", lambda: b'{"data": {"a": {"b": 1}}, "step": 1' + b"0" * 100 + b"}"),
    "a colour of 5000 digits": ("colours", lambda: b"1" * 5000 + b" 2 3 wall\n"),
    "50,000 classes in colour": ("colours", lambda: _COLOURS + b"0,0,0,x\n"),
    "an .npz of zeros": ("sample", lambda: _npz_of_zeros(550)),
    "an .npz that is one array": ("sample", _array),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", MADE)
def test_what_is_small_and_asks_for_much_is_refused_soon(what: str) -> None:
    name, make = MADE[what]
    assert judge(TARGETS[name], make()).refusal is not None


@pytest.mark.slow
def test_a_share_of_a_campaign_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="needs the extra 'fuzz'")
    command = [sys.executable, "-m", "tests.fuzz.guided", "--executions", str(SHARE), "--build", str(tmp_path)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert f"| all | {SHARE * len(TARGETS):,} |" in ended.stdout
