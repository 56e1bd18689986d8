"""What every reader is held to, whatever the bytes.

It gives a value, or raises an error of ours that says where, within two seconds of processor time and 500 MB.
"""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atrcnas.ground.errors import AtrcnasError
from tests.fuzz.guided.mutators import Mutator

MAX_SECONDS, MAX_MB, MAX_MESSAGE = 2.0, 500, 20_000
HOME = Path(tempfile.mkdtemp(prefix="atrcnas-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
_PEAK = os.open("/proc/self/clear_refs", os.O_WRONLY)


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        name: of the file that the input is written to, which decides what the reader takes it for.
        read: reads that file, and whatever else is done with its content before it is trusted.
        seeds: inputs to start from, some of which are accepted.
        mutator: changes an input in structure; None where changing bytes is enough.
        executions: its share of a campaign.
        max_bytes: of an input.
        names: what a message may name instead of the file.
        wrap: makes the file's content of an input.
    """

    name: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    mutator: Mutator | None = None
    executions: int = 20_000
    max_bytes: int = 8192
    names: tuple[str, ...] = ()
    wrap: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True)
class Outcome:
    """Of one input; ``refusal`` is None if it was accepted, ``seconds`` of processor time, ``grown_mb`` of memory."""

    refusal: str | None
    seconds: float
    grown_mb: float


class Breach(Exception):
    """A reader refused in another way than it should, or took too long or too much."""


def judge(target: Target, content: bytes) -> Outcome:
    """Let a target read an input.

    Raises:
        Breach: the rule is broken; any other exception that passes through breaks it too.
    """
    path = HOME / target.name
    path.write_bytes(target.wrap(content))
    outcome = _measured(target, path)
    if outcome.seconds > MAX_SECONDS:  # again: a collection of the process's garbage may fall into one call
        outcome = _measured(target, path)
    if outcome.seconds > MAX_SECONDS:
        raise Breach(f"took {outcome.seconds:.1f} s")
    if outcome.grown_mb > MAX_MB:
        raise Breach(f"took {outcome.grown_mb:.0f} MB")
    return outcome


def _measured(target: Target, path: Path) -> Outcome:
    os.pwrite(_PEAK, b"5", 0)  # the peak begins anew
    before, began = peak_mb(), time.thread_time()
    text = None
    try:
        target.read(path)
    except AtrcnasError as refusal:
        text = str(refusal)
        if not any(name in text for name in (str(path), *target.names)):
            raise Breach(f"the message does not name the file: {text:.200}") from refusal
        if len(text) > MAX_MESSAGE:
            raise Breach(f"a message of {len(text)} characters") from refusal
    return Outcome(text, time.thread_time() - began, peak_mb() - before)


def peak_mb() -> float:
    """The largest memory this process has had since the last input began, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
