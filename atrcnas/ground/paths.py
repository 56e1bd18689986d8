"""Paths below an output folder, whatever the names they are made of say and whatever lies there already."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from atrcnas.ground.errors import AtrcnasError

_MAX_NAME_BYTES = 255


def below(folder: Path, *names: str) -> Path:
    """The path of a file to write.

    Args:
        folder: where the user wants the output; may itself be a link.
        names: of the folders on the way, which need not exist, and of the file; from anywhere.

    Raises:
        AtrcnasError: a name is not a plain one, or a link below ``folder`` stands in the way.
    """
    path = folder
    for name in names:
        if not _is_plain(name):
            raise AtrcnasError(
                f"{folder}: expected a plain name for a file to write here, got {name!r:.80}. Rename it at its origin."
            )
        path = path / name
        if path.is_symlink():
            raise _link(path)
    return path


def require_plain_tree(folder: Path) -> None:
    """Check a folder that is going to be written into, at any depth.

    Raises:
        AtrcnasError: it holds something other than folders and regular files: through a link, what is written to it would
            land elsewhere, and a pipe would block forever.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise _link(path)
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise AtrcnasError(f"{path}: expected a file or a folder, got a pipe, a socket or a device. Remove it.")


def _is_plain(name: str) -> bool:
    separators = ("/", "\\", "\0")
    return name not in ("", ".", "..") and not any(s in name for s in separators) and _fits(name)


def _fits(name: str) -> bool:
    return len(name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES


def _link(path: Path) -> AtrcnasError:
    return AtrcnasError(
        f"{path}: expected no link inside a folder to write to, got one to {str(path.readlink())!r:.80}. "
        "Put the file or folder itself there, or make the whole folder the link."
    )
