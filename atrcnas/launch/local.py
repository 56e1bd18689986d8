"""Trials in this process, one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from atrcnas.ground.registry import resolve
from atrcnas.launch.pool import Pool
from atrcnas.launch.worker import Payload


class Local(Pool):
    """Calls in this process, one after the other; errors as they are."""

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
