"""Where trials run: in this process, in processes of this machine, or as tasks of a Ray cluster.

A call is a function named by its import string and a mapping of plain values; its answer is plain values too. A call
whose worker died is made again, a bounded number of times.
"""

from __future__ import annotations

import json
import os
import queue
import random
import socket
import subprocess
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
from atrcnas.launch.worker import Payload, perform
from atrcnas.spec.launch import LaunchSpec

RERUNS = 2


class Died(Exception):
    """The worker is gone in the middle of a call."""


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


def _name(call: dict[str, Any]) -> str:
    return str(call["payload"].get("folder", call["task"]))


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


class Processes(Pool):
    """Calls in processes of this machine, each with its share of the cores and, in turn, one of the GPUs."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._all = [_Process(slot, workers) for slot in range(workers)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)

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
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(call) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line.endswith("\n"):
            raise Died(f"exit status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End it now."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _start(self) -> subprocess.Popen[str]:
        # A session of its own: Ctrl-C reaches the driver alone, which then ends its workers.
        return subprocess.Popen(
            [sys.executable, "-m", "atrcnas.launch.worker"],
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


class Ray(Pool):
    """Calls as tasks of a Ray cluster; run folders must lie where all its machines see them.

    Args:
        workers: tasks at once.
        address: of a running cluster; None starts a local one, without dashboard. (Ray listens on every interface of a
            machine all the same: the network must be one to trust.)
        resources: reserved for each task.

    Raises:
        RunError: Ray is missing, broken or cannot be reached.
    """

    def __init__(self, workers: int, address: str | None, resources: dict[str, float]) -> None:
        super().__init__(workers)
        try:
            import ray
        except Exception as error:  # a broken package may raise anything
            raise RunError(
                f"launch.engine: Ray cannot be imported ({type(error).__name__}: {error}). pip install 'atrcnas[ray]', "
                "or set engine: processes."
            ) from error
        self._ray, self._own = ray, not ray.is_initialized()
        if self._own:
            self._connect(address)
        others = {key: value for key, value in resources.items() if key not in ("CPU", "GPU")}
        self._task = ray.remote(perform).options(
            num_cpus=resources.get("CPU", 1),
            num_gpus=resources.get("GPU", 0),
            resources=others,
            max_retries=0,
            scheduling_strategy="SPREAD",
        )

    def _connect(self, address: str | None) -> None:
        options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            options |= {"address": "local", "include_dashboard": False}
        try:
            _knock(address or "")
            self._ray.init(runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}, **options)
        except Exception as error:  # Ray has many ways not to come up
            raise RunError(
                f"launch.address: no Ray at '{address or 'local'}' ({type(error).__name__}: {error}). "
                "Start one (`ray start --head`), correct the address, or leave it out for a local one."
            ) from error

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        super().close()
        if self._own:
            self._ray.shutdown()

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._ray.get(self._task.remote(call))
        except self._ray.exceptions.RayTaskError as error:
            return {"error": str(error)}
        except self._ray.exceptions.RayError as error:
            raise Died(str(error).strip().partition(". ")[0]) from error
        return answer


def _knock(address: str) -> None:
    """Fail at once where nothing listens; Ray itself would wait for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


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
