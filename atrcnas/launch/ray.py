"""Trials as tasks of a Ray cluster; nothing else imports Ray."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import Any

from atrcnas.ground.errors import RunError
from atrcnas.launch.pool import Died, Pool
from atrcnas.launch.worker import perform


class Ray(Pool):
    """Calls as tasks of a Ray cluster; run folders must lie where all its machines see them.

    Args:
        workers: tasks at once.
        address: of a running cluster; None starts a local one, without dashboard. (Ray listens on every interface of a
            machine all the same: the network must be one to trust.)
        resources: reserved for each task.

    Raises:
        RunError: Ray is missing, broken, cannot be reached, or is local and lacks the resources.
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
        self._ray: Any = ray
        self._own, self._is_local = not ray.is_initialized(), address is None
        if self._own:
            self._connect(address)
        self._check_resources({"CPU": 1, **resources})
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
            _check_reachable(address or "")
            self._ray.init(runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}, **options)
        except Exception as error:  # Ray can fail to start in many ways
            raise RunError(
                f"launch.address: no Ray at '{address or 'local'}' ({type(error).__name__}: {error}). "
                "Start one (`ray start --head`), correct the address, or leave it out for a local one."
            ) from error

    def _check_resources(self, wanted: Mapping[str, float]) -> None:
        """A task that fits no node waits forever: refuse it on a local cluster, say so on one that may yet grow."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(key, 0) >= amount for key, amount in wanted.items()) for node in nodes):
            return
        have = "; ".join(str({key: node.get(key, 0) for key in wanted}) for node in nodes)
        lack = f"launch.resources: no node has {dict(wanted)} for one trial; there are {have}."
        if self._own and self._is_local:
            self._ray.shutdown()
            raise RunError(f"{lack} Ask for less, or give the address of a cluster that has it.")
        print(f"{lack} Trials wait until one joins; Ctrl-C ends.", file=sys.stderr, flush=True)

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


def _check_reachable(address: str) -> None:
    """Fail at once where nothing listens; Ray itself would wait for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    host = host.strip("[]")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
