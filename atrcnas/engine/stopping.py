"""Stopping on request: a cluster's SIGTERM or Ctrl-C ends a run at the next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

import torch
from lightning_fabric import Fabric

from atrcnas.ground.errors import Stopped

CHECK_EVERY = 10  # steps, where several processes have to agree


class StopRequest:
    """Context that turns SIGTERM and Ctrl-C into a request; a second one interrupts at once.

    Signals reach the main thread only; elsewhere (a notebook's thread, a test's) nothing is changed.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number

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
