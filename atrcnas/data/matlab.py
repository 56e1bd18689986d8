"""Opening MATLAB files without trusting them.

SciPy reads these files too, but its parser follows the lengths in a damaged file out of its buffer and takes the whole
process down. Here every length is checked against what is there.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.ground.errors import DataError
from atrcnas.ground.opening import read_regular

Array = npt.NDArray[Any]
_MAX_BYTES = 64_000_000
# Of one file: what it holds unpacked and as arrays, and its arrays and records. The published files stay below a third.
_MAX_CONTENT = 256_000_000
_MAX_ARRAYS = 100_000
_MAX_DEPTH = 8
_HEADER = 128
# Numbers of the format: how elements are stored, and what arrays hold.
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_STRUCT, _CHAR = 2, 4
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX, _LOGICAL = 0x800, 0x200


def read_variable(path: Path, name: str) -> Array:
    """Read one variable of a MATLAB file.

    Args:
        path: .mat of MATLAB 5 to 7 (not 7.3, which is HDF5), at most 64 MB.
        name: of the variable: real numbers, logicals, text, or a struct array of these.

    Returns:
        Numbers as an array of its shape, at least 2-D; text as an array of one string; a struct array as an array of its
        shape whose named fields hold such arrays. Fields of other kinds (cells, complex numbers) hold empty arrays.

    Raises:
        DataError: missing, damaged, too large, of another kind, or without that variable.
    """
    try:
        found = _find(memoryview(read_regular(path, _MAX_BYTES)), name)
    except (OSError, ValueError, TypeError, IndexError, OverflowError, struct.error, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(
            f"{path}: expected a readable MATLAB file, got an error ({reason or error}). "
            "Replace the file with an intact copy."
        ) from error
    if found is None:
        raise DataError(f"{path}: expected a variable '{name}', got none. Replace the file with the published one.")
    return found


def _find(content: memoryview, name: str) -> Array | None:
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None:
        raise ValueError("no MATLAB 5 to 7 header")
    budget = _Budget()
    for kind, data in _elements(content[_HEADER:], order):
        budget.take(arrays=1)
        if kind == _COMPRESSED:
            kind, data = next(_elements(_inflated(data, budget), order), (0, data))
        if kind == _MATRIX and len(data):
            array = _Matrix(data, order, budget)
            if array.name == name:
                return array.values(0)
    return None


@dataclass
class _Budget:
    """What one file may still take: each single array may be small."""

    content: int = _MAX_CONTENT
    arrays: int = _MAX_ARRAYS

    def take(self, content: int = 0, arrays: int = 0) -> None:
        """Count bytes, and arrays or records, before they are made."""
        self.content -= content
        self.arrays -= arrays
        if self.content < 0 or self.arrays < 0:
            raise ValueError(f"more than {_MAX_CONTENT} bytes or {_MAX_ARRAYS} arrays and records")


def _inflated(data: memoryview, budget: _Budget) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(data, budget.content + 1)
    budget.take(len(content))
    if not stream.eof:
        raise ValueError("compressed data is cut short")
    return memoryview(content)


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Kind and data of the elements, one after another; never more data than there is."""
    start = 0
    while start < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, start)
        begin, padding = start + 8, 0 if kind == _COMPRESSED else -size % 8
        # A few bytes are kept in the second half of the element's head.
        if kind >> 16:
            kind, size, begin, padding = kind & 0xFFFF, kind >> 16, start + 4, 4 - (kind >> 16)
        if padding < 0 or begin + size > len(content):
            raise ValueError("an element is cut short")
        yield kind, content[begin : begin + size]
        start = begin + size + padding


class _Matrix:
    """An array's head: class, shape and name; its values are read on demand."""

    def __init__(self, content: memoryview, order: str, budget: _Budget) -> None:
        self._parts, self._order, self._budget = _elements(content, order), order, budget
        flags, _ = (int(flag) for flag in self._numbers())
        self._class, self._flags = flags & 0xFF, flags
        self._shape = tuple(int(side) for side in self._numbers())
        if not 2 <= len(self._shape) <= 4 or min(self._shape) < 0:
            raise ValueError(f"an array of shape {list(self._shape)}")
        self.name = self._text()

    @property
    def is_known(self) -> bool:
        """Whether arrays of this class are read here."""
        if self._class in _NUMBERS:
            return not self._flags & _COMPLEX
        return self._class == _STRUCT or (self._class == _CHAR and self._shape[0] <= 1)

    def values(self, depth: int) -> Array:
        """The array, see :func:`read_variable`; nested ones of other classes are empty, as nobody may ask for them."""
        if not self.is_known or depth > _MAX_DEPTH:
            if depth:
                return np.zeros((0, 0))
            raise ValueError(f"an array of class {self._class}, which is not read here")
        if self._class == _STRUCT:
            return self._records(depth)
        if self._class == _CHAR:
            return np.array([self._text()])
        dtype = np.bool_ if self._flags & _LOGICAL else np.dtype(_NUMBERS[self._class])
        stored = self._numbers()
        self._budget.take(stored.size * np.dtype(dtype).itemsize)
        with np.errstate(invalid="ignore"):
            return stored.astype(dtype).reshape(self._shape, order="F")

    def _records(self, depth: int) -> Array:
        length = int(self._numbers()[0])
        _, names = self._next()
        if length < 1 or len(names) % length:
            raise ValueError("damaged field names")
        count = math.prod(self._shape)
        self._budget.take(arrays=count + (count + 1) * (len(names) // length))
        fields = [
            bytes(names[start : start + length]).split(b"\0")[0].decode("ascii")
            for start in range(0, len(names), length)
        ]
        # One more than there should be, to notice an excess.
        nested = list(itertools.islice(self._parts, count * len(fields) + 1))
        if len(nested) != count * len(fields) or any(kind != _MATRIX for kind, _ in nested):
            raise ValueError(f"{len(nested)} arrays in {count} records of {len(fields)} fields")
        found = [self._nested(data, depth + 1) for _, data in nested]
        records = np.empty(count, [(field, object) for field in fields])
        for number in range(count):
            records[number] = tuple(found[number * len(fields) : (number + 1) * len(fields)])
        return records.reshape(self._shape, order="F")

    def _nested(self, data: memoryview, depth: int) -> Array:
        return _Matrix(data, self._order, self._budget).values(depth) if len(data) else np.zeros((0, 0))

    def _next(self) -> tuple[int, memoryview]:
        found = next(self._parts, None)
        if found is None:
            raise ValueError("an array is cut short")
        return found

    def _numbers(self) -> Array:
        kind, data = self._next()
        if kind not in _STORED:
            raise ValueError(f"numbers stored as kind {kind}")
        return np.frombuffer(data, f"{self._order}{_STORED[kind]}")

    def _text(self) -> str:
        kind, data = self._next()
        if kind not in _TEXT:
            raise ValueError(f"text stored as kind {kind}")
        self._budget.take(4 * len(data))  # NumPy keeps a character in four bytes
        encoding = _TEXT[kind]
        if encoding == "utf-16":
            encoding += "-le" if self._order == "<" else "-be"
        return bytes(data).decode(encoding)
