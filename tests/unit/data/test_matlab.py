"""MATLAB files that are small and claim to be large."""

from __future__ import annotations

import resource
import struct
import time
import zlib
from pathlib import Path

import pytest

from atrcnas.data.matlab import read_variable
from tests.unit.data.files import expect_error


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8 if kind != 15 else 0)


def structs(side: int, fields: bytes, nested: bytes = b"") -> bytes:
    """The element of a ``side`` x ``side`` struct array `anno`."""
    flags, shape = element(6, struct.pack("<II", 2, 0)), element(5, struct.pack("<ii", side, side))
    names = element(5, struct.pack("<i", 8)) + element(1, fields)
    return element(14, flags + shape + element(1, b"anno") + names + nested)


def numbers(size: int) -> bytes:
    """A vector of ``size`` bytes, stored as such, that are doubles once read."""
    flags, shape = element(6, struct.pack("<II", 6, 0)), element(5, struct.pack("<ii", 1, size))
    return element(14, flags + shape + element(1, b"") + element(2, bytes(size)))


BOMBS = {
    "records without fields": lambda: structs(20_000, b""),
    "empty arrays": lambda: element(
        15, zlib.compress(structs(4000, b"a" + bytes(7), element(14, b"") * 16_000_000), 1)
    ),
    "many elements of half the limit": lambda: element(15, zlib.compress(bytes(10**8), 1)) * 20,
    "numbers that grow when read": lambda: element(15, zlib.compress(structs(1, b"a" + bytes(7), numbers(10**8)), 1)),
    "field names": lambda: element(15, zlib.compress(structs(1, bytes(10**8)), 1)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_matlab_file_takes_little_time_and_memory_whatever_it_claims(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + BOMBS[bomb]())
    assert path.stat().st_size < 10_000_000
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 500_000_000, limits[1]))
    begun = time.process_time()
    try:
        expect_error("more than .* bytes or .* arrays", lambda: read_variable(path, "anno"))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert time.process_time() - begun < 2
