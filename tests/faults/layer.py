"""Python's file functions, with every operation that changes a folder recorded, and the n-th one failing on request."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

_CHUNK = 1 << 20  # how much Python gathers before it writes: few writes, so few points to try
_HANDLES = Path("/proc/self/fd")
# What may go wrong with a disk: it gets full, one operation fails, or the kernel lets nobody write to it any more.
FAULTS = {"full": errno.ENOSPC, "error": errno.EIO, "read-only": errno.EROFS}
_NEEDS_NO_SPACE = ("unlink", "rmdir", "rename")


@dataclass(frozen=True)
class Operation:
    """One change.

    Attributes:
        name: create, open (of a file that exists), write, truncate, sync, rename, unlink, mkdir or rmdir.
        path: below the watched folder, which is "." itself.
        data: that is written.
        offset: where; of a truncation the size that stays.
        target: new path of what is renamed.
    """

    name: str
    path: str
    data: bytes = b""
    offset: int = 0
    target: str = ""


class Layer:
    """While entered, every change below ``root`` is counted; changes by code that is not Python's are not seen.

    Args:
        root: of what is watched.
        fails_at: number of the operation that meets a fault; None for none.
        fault: one of ``FAULTS``.

    Attributes:
        count: operations tried.
        done: those that succeeded.
    """

    def __init__(self, root: Path, fails_at: int | None = None, fault: str = "error") -> None:
        self.root, self.fails_at, self.fault, self._filled = os.path.realpath(root), fails_at, fault, False
        self.count, self.done = 0, list[Operation]()

    def __enter__(self) -> Layer:
        self._patches = [patch.object(shutil, "_USE_CP_SENDFILE", False)]  # otherwise the kernel copies
        for module, name, replacement in (
            (builtins, "open", self._stream),
            (io, "open", self._stream),
            (os, "open", self._open),
            (os, "fsync", self._sync),
            (os, "truncate", self._truncate),
            (os, "rename", self._rename),
            (os, "replace", self._rename),
            *((os, name, self._on_one_path(name)) for name in ("unlink", "remove", "mkdir", "rmdir")),
        ):
            self._patches.append(patch.object(module, name, _before(getattr(module, name), replacement)))
        for each in self._patches:
            each.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in reversed(self._patches):
            each.stop()

    def perform(self, operation: Operation, do: Callable[[], Any]) -> Any:
        """Count an operation, and let it happen or fail."""
        number, self.count = self.count, self.count + 1
        if self._meets_fault(number, operation.name):
            raise OSError(FAULTS[self.fault], os.strerror(FAULTS[self.fault]), operation.path)
        found = do()
        self.done.append(operation)
        return found

    def _meets_fault(self, number: int, name: str) -> bool:
        if self.fails_at is None or number <= self.fails_at:
            return number == self.fails_at
        return self.fault == "read-only" or (self.fault == "full" and name not in _NEEDS_NO_SPACE)

    def fills_up(self) -> bool:
        """Whether the disk gets full in the next write: its first half still finds room, and what comes then fails."""
        if self.fault != "full" or self._filled or self.fails_at != self.count:
            return False
        self._filled, self.fails_at = True, self.count + 1
        return True

    def below(self, path: Any, folder: int | None = None) -> str | None:
        """The path below the root; None of what lies elsewhere or is no path."""
        if isinstance(path, int):
            path = _HANDLES.joinpath(str(path)).readlink()
        if folder is not None:
            path = _HANDLES.joinpath(str(folder)).readlink() / os.fsdecode(path)
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (a link is an entry of its own)
        inside = whole == self.root or whole.startswith(self.root + os.sep)
        return os.path.relpath(whole, self.root) if inside else None

    def _stream(self, real: Any, file: Any, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+") or self.below(file) is None:
            return real(file, mode, buffering, *text, **options)
        raw = _File(self, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw, _CHUNK) if "+" in mode else io.BufferedWriter(raw, _CHUNK)
        if "b" in mode:
            return buffered
        names = ("encoding", "errors", "newline")
        return io.TextIOWrapper(buffered, **{**dict(zip(names, text, strict=False)), **options})

    def _open(self, real: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        name = self.below(path, dir_fd) if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else None
        if name is None:
            return int(real(path, flags, mode, dir_fd=dir_fd))
        there = Path(self.root, name).exists()
        what = "create" if not there else "truncate" if flags & os.O_TRUNC else "open"
        return int(self.perform(Operation(what, name), lambda: real(path, flags, mode, dir_fd=dir_fd)))

    def _sync(self, real: Any, file: Any) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        name = self.below(handle)
        real(handle) if name is None else self.perform(Operation("sync", name), lambda: None)

    def _truncate(self, real: Any, path: Any, length: int) -> None:
        name = self.below(path)
        do = lambda: real(path, length)  # noqa: E731
        do() if name is None else self.perform(Operation("truncate", name, offset=length), do)

    def _rename(self, real: Any, source: Any, target: Any, **folders: Any) -> None:
        old, new = self.below(source), self.below(target)
        do = lambda: real(source, target, **folders)  # noqa: E731
        do() if old is None or new is None else self.perform(Operation("rename", old, target=new), do)

    def _on_one_path(self, name: str) -> Callable[..., None]:
        def call(real: Any, path: Any, *mode: int, dir_fd: int | None = None) -> None:
            place = self.below(path, dir_fd)
            do = lambda: real(path, *mode, dir_fd=dir_fd)  # noqa: E731
            word = "unlink" if name == "remove" else name
            do() if place is None else self.perform(Operation(word, place), do)

        return call


class _File(io.FileIO):
    """An open file whose writes are counted."""

    def __init__(self, layer: Layer, path: Any, mode: str) -> None:
        self._layer, self._appends = layer, "a" in mode
        super().__init__(os.fspath(path), mode, opener=lambda name, flags: os.open(name, flags, 0o666))

    def write(self, data: Any) -> int:
        content = bytes(data)
        if len(content) > 1 and self._layer.fills_up():
            content = content[: len(content) // 2]
        offset = os.fstat(self.fileno()).st_size if self._appends else self.tell()
        operation = Operation("write", str(self._layer.below(self.fileno())), content, offset)
        write = super().write
        return int(self._layer.perform(operation, lambda: write(content)))

    def truncate(self, size: int | None = None) -> int:
        kept = self.tell() if size is None else size
        operation = Operation("truncate", str(self._layer.below(self.fileno())), offset=kept)
        truncate = super().truncate
        return int(self._layer.perform(operation, lambda: truncate(kept)))


def _before(real: Any, replacement: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: replacement(real, *arguments, **options)
