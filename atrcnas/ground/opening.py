"""Opening files that come from outside: regular ones only, of bounded size.

A named pipe would block forever and a device would never end, so neither is opened; a link is followed, as the user who gave
the path expects.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def open_regular(path: Path, max_bytes: int | None = None) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: of the file.
        max_bytes: refuse a larger one; None where the reader bounds what it reads.

    Raises:
        OSError: missing, not a regular file, or too large; ``strerror`` says which.
    """
    # Without O_NONBLOCK, opening a pipe would wait for its writer; to a regular file it makes no difference.
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY))  # noqa: SIM115
    try:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
            raise OSError(errno.EINVAL, f"{kind}, not a regular file", str(path))
        if max_bytes is not None and found.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"expected at most {max_bytes} bytes, got {found.st_size}", str(path))
    except OSError:
        stream.close()
        raise
    return stream


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file of at most ``max_bytes``.

    Raises:
        OSError: see :func:`open_regular`.
    """
    with open_regular(path, max_bytes) as stream:
        return stream.read(max_bytes)


def require_regular(path: Path, max_bytes: int | None = None) -> None:
    """Check a file for a library that opens it by name.

    Raises:
        OSError: see :func:`open_regular`.
    """
    open_regular(path, max_bytes).close()
