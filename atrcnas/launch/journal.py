"""The journal of trials: one line of JSON per finished trial, on the disk before the next one starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import nan_to_null
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
        self.path = path
        self.header, self.entries = self._read(dict(header))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            RunError: the file cannot be written.
        """
        self._write(entry)
        self.entries.append(dict(entry))

    def _read(self, header: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        whole, found = 0, list[dict[str, Any]]()
        content = self._content()
        lines = content.splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            entry = _parsed(line)
            if entry is None and number < len(lines):
                raise RunError(f"{self.path}: line {number} is damaged. Restore the file, or choose another --run.")
            if entry is not None:
                found.append(entry)
                whole += len(line)
        if whole < len(content):
            os.truncate(self.path, whole)
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
        created = not self.path.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                stream.write(json.dumps(nan_to_null(entry), allow_nan=False).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            if created:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise RunError(f"{self.path}: cannot write ({error.strerror}). Free some space, then --resume.") from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The entry, None if the line is not a whole one."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file survive a power failure too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
