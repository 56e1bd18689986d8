"""Where trials run: in this process, in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from atrcnas.ground.errors import RunError, Stopped
from atrcnas.launch.pool import Local, Pool
from atrcnas.launch.processes import Processes
from atrcnas.launch.ray import Ray
from atrcnas.spec.launch import LaunchSpec

SECONDS_TO_SAVE = 10.0


@contextmanager
def open_pool(launch: LaunchSpec) -> Iterator[Pool]:
    """The pool that a launch section asks for.

    SIGTERM and Ctrl-C make the processes save their trials' states; a second signal ends them at once. (In this process
    the trial itself sees to it; on Ray the driver ends, and trials continue from their last checkpoints.)

    Raises:
        RunError: the pool cannot start.
        Stopped: on request.
    """
    if launch.engine == "ray":
        pool: Pool = Ray(launch.workers, launch.address, dict(launch.resources))
    else:
        pool = Processes(launch.workers) if launch.engine == "processes" else Local()
    try:
        with _stopping(pool) if isinstance(pool, Processes) else nullcontext():
            yield pool
    finally:
        pool.close()


@contextmanager
def _stopping(pool: Processes) -> Iterator[None]:
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        pool.stop()

    in_main = threading.current_thread() is threading.main_thread()  # elsewhere signals do not arrive
    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)} if in_main else {}
    try:
        yield
    except RunError:
        if not received:  # otherwise it comes from the trials that were stopped
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        pool.wait(SECONDS_TO_SAVE)
        raise Stopped(received[0])
