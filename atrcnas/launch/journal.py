"""The journal of trials: one line of JSON per finished trial, on the disk before the next one starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import make_folder, nan_to_null, sync_folder, writing_to
from atrcnas.ground.opening import read_regular

_MAX_BYTES = 10**9


class Journal:
    """A file of JSON lines that only grows; a kill can tear the line being written, never an earlier one.

    Args:
        path: the file; read if it is there, else created.
        header: its first line when created.

    Attributes:
        header: the first line of the file.
        entries: the lines after it.

    Raises:
        RunError: the file is damaged before its last line, or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path, self._whole = path, 0
        self.header, self.entries = self._read(dict(header))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            RunError: the file cannot be written.
        """
        self._write(entry)
        self.entries.append(dict(entry))

    def _read(self, header: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        found = list[dict[str, Any]]()
        lines = self._content().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            entry = _parsed(line)
            if entry is None and number < len(lines):
                raise RunError(f"{self.path}: line {number} is damaged. Restore the file, or choose another --run.")
            if entry is not None:
                found.append(entry)
                self._whole += len(line)
        if not found:
            self._write(header)
            return header, []
        return found[0], found[1:]

    def _content(self) -> bytes:
        try:
            return read_regular(self.path, _MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            raise RunError(f"{self.path}: cannot read ({error.strerror}). Choose another --run.") from error

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(nan_to_null(entry), allow_nan=False).encode() + b"\n"
        with writing_to(self.path):
            make_folder(self.path.parent)
            with self.path.open("ab") as stream:
                stream.truncate(self._whole)  # a line that a kill or a full disk tore
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            if not self._whole:
                sync_folder(self.path.parent)
        self._whole += len(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The entry, None if the line is not a whole one."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
