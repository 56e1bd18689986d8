"""What runs trials, as calls; engines.py chooses among the kinds of pools.

A call is a function named by its import string and a mapping of plain values; its answer is plain values too. A call
whose worker died is made again, a limited number of times.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import resolve
from atrcnas.launch.worker import Payload

RERUNS = 2


class Died(Exception):
    """The worker died in the middle of a call."""


class Pool:
    """Makes calls, at most ``workers`` at once; close it when done.

    Args:
        workers: calls at once.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers, self.closed = workers, False
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, task: str, payload: Payload) -> Future[dict[str, Any]]:
        """Make a call when a worker is free.

        Args:
            task: ``"module:function"``.
            payload: its argument, of plain values.

        Returns:
            What will hold the function's result, or a RunError with its failure.
        """
        return self._threads.submit(self._reliably, {"task": task, "payload": dict(payload), "cwd": str(Path.cwd())})

    def close(self) -> None:
        """End the workers, even in the middle of a call."""
        self.closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _reliably(self, call: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(RERUNS + 1):
            try:
                answer = self._call(call)
            except Died as error:
                if self.closed:
                    raise RunError("the pool was closed.") from error
                print(f"{_name(call)}: its worker died ({error}); attempt {attempt + 1}", file=sys.stderr, flush=True)
                continue
            if "error" in answer:
                raise RunError(f"{_name(call)}: {answer['error']}")
            value: dict[str, Any] = answer["value"]
            return value
        raise RunError(
            f"{_name(call)}: its worker died {RERUNS + 1} times. Out of memory is the usual cause: set launch.workers "
            "or the batch size lower, then go on with --resume."
        )

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class Local(Pool):
    """Calls in this process, one after the other; errors reach the caller as they are."""

    def submit(self, task: str, payload: Payload) -> Future[dict[str, Any]]:
        """Make the call now."""
        done: Future[dict[str, Any]] = Future()
        with _own_randomness():
            done.set_result(resolve(task)(payload))
        return done


@contextmanager
def _own_randomness() -> Iterator[None]:
    """A trial seeds the global generators; a strategy that draws from them must not notice."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def _name(call: dict[str, Any]) -> str:
    return str(call["payload"].get("folder", call["task"]))
