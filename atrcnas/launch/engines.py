"""Where trials run: in this process, in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from atrcnas.launch.local import Local
from atrcnas.launch.pool import Pool
from atrcnas.launch.processes import Processes
from atrcnas.launch.ray import Ray
from atrcnas.spec.launch import LaunchSpec


@contextmanager
def open_pool(launch: LaunchSpec) -> Iterator[Pool]:
    """The pool that a launch section asks for.

    Raises:
        RunError: it cannot be had.
    """
    if launch.engine == "ray":
        pool: Pool = Ray(launch.workers, launch.address, dict(launch.resources))
    else:
        pool = Processes(launch.workers) if launch.engine == "processes" else Local()
    try:
        yield pool
    finally:
        pool.close()
