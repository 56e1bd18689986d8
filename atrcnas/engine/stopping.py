"""Stopping on request: a cluster's SIGTERM or Ctrl-C ends a run at the next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from types import FrameType

import torch
from lightning_fabric import Fabric

from atrcnas.data.watched import polled
from atrcnas.engine.listener import Listener
from atrcnas.engine.training import Training
from atrcnas.ground.errors import DataError, Stopped

CHECK_EVERY = 10  # steps, where several processes have to agree
MAX_WAIT_S = 30.0  # for data, until one of them leaves on its own


class StopRequest(Listener):
    """Turns SIGTERM and Ctrl-C into a request while the loop runs; a second one interrupts at once.

    Signals reach the main thread only; elsewhere (a notebook's thread, a test's) nothing is changed.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.received = 0
        self._before: dict[int, object] = {}
        self._polled = ExitStack()

    def begin(self, training: Training) -> None:
        """Take over the signals, and be asked during each wait for a batch."""
        self._polled.enter_context(polled(lambda waited: self.check_waiting(training.step, waited)))
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(self, training: Training) -> None:
        """Give them back."""
        self._polled.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def before_batch(self, training: Training, validating: bool) -> None:
        """Leave if asked to; several processes agree between two steps only.

        Raises:
            Stopped: at the same step in every process.
        """
        if not validating or self.fabric.world_size == 1:
            self.check(training.step)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number

    def check_waiting(self, step: int, waited: float) -> None:
        """Leave if asked to while waiting for data, where :meth:`check` may never be reached again.

        Args:
            step: steps completed.
            waited: seconds.

        Raises:
            Stopped: with one process.
            DataError: one of several has waited for long; on its own it cannot save a state.
        """
        if self.received and self.fabric.world_size == 1:
            raise Stopped(self.received, step)
        if self.received and waited > MAX_WAIT_S:
            raise DataError(f"data: no batch for {waited:.0f} s, and asked to stop.")

    def check(self, step: int) -> None:
        """Leave if asked to.

        Raises:
            Stopped: at the same step in every process.
        """
        received = self.received
        if self.fabric.world_size > 1:
            if step % CHECK_EVERY:
                return
            flag = torch.tensor(float(received), device=self.fabric.device)
            torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
            received = int(flag)
        if received:
            raise Stopped(received, step)
