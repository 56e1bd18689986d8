"""Trials in processes of this machine."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any, cast

import torch

from atrcnas.launch.pool import Died, Pool


class Processes(Pool):
    """Calls in processes of this machine, each with its share of the cores and, in turn, one of the GPUs."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._all = [_Process(slot, workers) for slot in range(workers)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    def stop(self) -> None:
        """Take no more calls, and ask the processes to save their work and leave."""
        self.closed = True
        for process in self._all:
            process.terminate()

    def wait(self, seconds: float) -> None:
        """Give each process that is still there this long to leave."""
        for process in self._all:
            process.wait(seconds)

    def close(self) -> None:
        """End the processes."""
        super().close()
        for process in self._all:
            process.kill()

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        process = self._idle.get()
        try:
            if self.closed:
                raise Died("closed")
            return process.call(call)
        finally:
            self._idle.put(process)


class _Process:
    """One worker process, started when first needed and again after its death."""

    def __init__(self, slot: int, workers: int) -> None:
        self.slot, self.workers = slot, workers
        self.process: subprocess.Popen[str] | None = None

    def call(self, call: dict[str, Any]) -> dict[str, Any]:
        """Send a call and wait for its answer.

        Raises:
            Died: the process ended before answering.
        """
        if self.process is None or self.process.poll() is not None:
            self.process = self._start()
        calls, answers = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)  # both are pipes
        try:
            calls.write(json.dumps(call) + "\n")
            calls.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        if not line.endswith("\n"):
            raise Died(f"exit status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def terminate(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait this long for it to end by itself."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)

    def kill(self) -> None:
        """End it now."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _start(self) -> subprocess.Popen[str]:
        # A session of its own: Ctrl-C reaches only the driver, which then ends its workers.
        return subprocess.Popen(
            # Without -P, a module in the working folder would stand in for one of Python's (random.py).
            [sys.executable, "-P", "-m", "atrcnas.launch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **self._environment()},
        )

    def _environment(self) -> dict[str, str]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        given = os.environ.get("OMP_NUM_THREADS", "")
        threads = min(cores // self.workers, int(given) if given.isdigit() else cores)
        chosen = {
            "OMP_NUM_THREADS": str(max(threads, 1)),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
        return chosen | ({"CUDA_VISIBLE_DEVICES": devices[self.slot % len(devices)]} if devices else {})
