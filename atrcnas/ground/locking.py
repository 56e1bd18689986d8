"""One writer at a time, by a lock on a file of our own that ends with its process."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atrcnas.ground.errors import RunError

# EOPNOTSUPP, ENOSYS and ENOLCK are what network file systems say that are mounted without locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class LockHeldError(RunError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on ``path``, an empty file that is made if missing, stays, and is never written.

    A file system without locks (some network shares) is warned of once; there nothing keeps another process out.

    Raises:
        LockHeldError: another process holds it.
        OSError: it cannot be created, is a link or not a regular file.
    """
    # The path may come from a stranger's folder: no link is followed, nothing is emptied, no pipe is waited for.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(f"{path}: another process holds this lock. Wait for it.") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _warn(path.parent, os.strerror(error.errno))
        try:
            yield
        finally:
            # Merely closing it would leave the lock to loader processes, which share the handle.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


@functools.cache
def _warn(folder: Path, reason: str) -> None:
    print(
        f"{folder}: this file system has no locks ({reason}), so nothing keeps a second process out. Start none here, or "
        "choose a folder on a local disk.",
        file=sys.stderr,
    )
