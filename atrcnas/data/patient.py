"""Reading samples from a folder that may be away for a while, as on a network share or a removable disk."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from atrcnas.data.sample import Sample, Samples
from atrcnas.data.watched import POLL_S, ask
from atrcnas.ground.errors import DataError

PATIENCE_S = 300
_ATTEMPTS = 3  # a folder that is away may be noticed in the middle of a file, and go again


def read_patiently(source: Samples, index: int) -> Sample:
    """``source[index]``; while the folder of a file is away, wait for it, up to five minutes.

    Each process that waits says so once. A file that cannot be read though its folder is there is not waited for.

    Raises:
        DataError: what the source says, or the folder stays away.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return source[index]
        except (DataError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError) or cause.errno is None:
                raise
            _wait_for_folder(cause)
    return source[index]


def _wait_for_folder(error: OSError) -> None:
    if not isinstance(error.filename, str | os.PathLike):  # in the middle of a file; the next attempt will tell
        return
    folder, waited = Path(error.filename).parent, 0.0
    while not _is_there(folder):
        if waited == 0:
            print(
                f"{folder}: away ({error.strerror}); waiting for it, at most {PATIENCE_S} s.",
                file=sys.stderr,
                flush=True,
            )
        if waited >= PATIENCE_S:
            raise DataError(
                f"{folder}: away for {waited:.0f} s ({error.strerror}). Bring the folder back, then continue with --resume."
            ) from error
        ask(waited)
        time.sleep(POLL_S)
        waited += POLL_S  # not by the clock, which goes on while the job is suspended


def _is_there(folder: Path) -> bool:
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False
