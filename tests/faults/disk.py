"""What a disk may hold after its power was lost: what was synced, and of the rest whatever POSIX allows.

A file's bytes are safe once the file is synced; names in a folder (made, renamed, removed) once the folder is. Of what was
not synced, each change of a name and each write is kept or lost on its own, whatever the order; a write may also be torn at the
edges of sectors, or leave zeros. A rename within a folder is never torn.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.faults.layer import Operation

# Path -> bytes of a file, None for a folder.
State = dict[str, bytes | None]
_SECTOR = 512


@dataclass
class _File:
    synced: bytes = b""
    pending: list[Operation] = field(default_factory=list)

    def now(self) -> bytes:
        return _replayed(self.synced, self.pending)

    def sync(self) -> None:
        self.synced, self.pending = self.now(), []

    def crashed(self, chance: random.Random) -> bytes:
        return _replayed(self.synced, [piece for change in self.pending for piece in _survivors(change, chance)])


@dataclass
class _Folder:
    now: dict[str, _File | _Folder] = field(default_factory=dict)
    synced: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[dict[str, _File | _Folder | None]] = field(default_factory=list)

    def change(self, names: dict[str, _File | _Folder | None]) -> None:
        self.pending.append(names)
        self.now = _renamed(self.now, [names])

    def sync(self) -> None:
        self.synced, self.pending = dict(self.now), []

    def crashed(self, chance: random.Random) -> dict[str, _File | _Folder]:
        return _renamed(self.synced, [names for names in self.pending if chance.random() < 0.5])


class Disk:
    """A folder, empty and synced at first, after some operations."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.root = _Folder()
        for operation in operations:
            self.apply(operation)

    def apply(self, operation: Operation) -> None:
        """Do one more operation."""
        folder, name = self._place(operation.path)
        match operation.name:
            case "create":
                folder.change({name: _File()})
            case "mkdir":
                folder.change({name: _Folder()})
            case "unlink" | "rmdir":
                folder.change({name: None})
            case "rename":
                self._rename(folder, name, operation.target)
            case "sync":
                self._find(operation.path).sync()
            case "write" | "truncate":
                found = self._find(operation.path)
                assert isinstance(found, _File)
                found.pending.append(operation)

    def kept(self) -> State:
        """All that was done, as a process that is killed leaves it."""
        return _flat(self.root, lambda folder: folder.now, lambda file: file.now())

    def synced(self) -> State:
        """Only what is safe."""
        return _flat(self.root, lambda folder: folder.synced, lambda file: file.synced)

    def crashed(self, seed: int) -> State:
        """One of the states that the power loss may leave."""
        chance = random.Random(seed)
        return _flat(self.root, lambda folder: folder.crashed(chance), lambda file: file.crashed(chance))

    def _rename(self, folder: _Folder, name: str, target: str) -> None:
        new_folder, new_name = self._place(target)
        node = folder.now[name]
        if new_folder is folder:
            folder.change({name: None, new_name: node})
        else:
            folder.change({name: None})
            new_folder.change({new_name: node})

    def _place(self, path: str) -> tuple[_Folder, str]:
        place = PurePosixPath(path)
        folder = self._find(str(place.parent))
        assert isinstance(folder, _Folder)
        return folder, place.name

    def _find(self, path: str) -> _File | _Folder:
        node: _File | _Folder = self.root
        for name in PurePosixPath(path).parts:
            assert isinstance(node, _Folder)
            node = node.now[name]
        return node


def read_state(root: Path) -> State:
    """What lies below a folder."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    return {name: None if path.is_dir() else path.read_bytes() for name, path in found.items()}


def write_state(state: State, root: Path) -> None:
    """Put a state below a folder."""
    root.mkdir(parents=True)
    for name, content in sorted(state.items()):
        if content is None:
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).write_bytes(content)


def _replayed(content: bytes, changes: Iterable[Operation]) -> bytes:
    for change in changes:
        head, end = content[: change.offset].ljust(change.offset, b"\0"), change.offset + len(change.data)
        content = head if change.name == "truncate" else head + change.data + content[end:]
    return content


def _survivors(change: Operation, chance: random.Random) -> list[Operation]:
    """What is left of a change of a file."""
    fate = chance.choice(["kept", "lost", "torn", "zeros"] if change.name == "write" else ["kept", "lost"])
    if fate == "torn":
        first = -change.offset % _SECTOR or _SECTOR
        edges = [0, *range(first, len(change.data), _SECTOR), len(change.data)]
        pieces = [(begin, change.data[begin:end]) for begin, end in itertools.pairwise(edges)]
        return [
            Operation("write", change.path, data, change.offset + begin)
            for begin, data in pieces
            if chance.random() < 0.5
        ]
    if fate == "zeros":
        return [Operation("write", change.path, bytes(len(change.data)), change.offset)]
    return [change] if fate == "kept" else []


def _renamed(names, changes):  # type: ignore[no-untyped-def]
    found = dict(names)
    for change in changes:
        found.update(change)
    return {name: node for name, node in found.items() if node is not None}


def _flat(folder, names, content, at: str = "") -> State:  # type: ignore[no-untyped-def]
    state: State = {}
    for name, node in names(folder).items():
        if isinstance(node, _Folder):
            state[at + name] = None
            state |= _flat(node, names, content, f"{at}{name}/")
        else:
            state[at + name] = content(node)
    return state
