"""Where a run computes: one process per device, connected where there are several.

With several devices the command starts a process for each and runs again in all of them; under torchrun or SLURM the
processes are there already. All draw the same mixtures, each takes its share of every batch, gradients are averaged;
only the first process writes.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import re
import socket
import sys
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.runs.environment import environment
from atrcnas.spec.experiment import Experiment

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}
_MAX_LISTED = 64
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD = -1, -3, 2**25


def connect(experiment: Experiment) -> Fabric:
    """The devices of an experiment; starts the other processes if there are to be several.

    Raises:
        ConfigError: a batch does not divide among the processes, or there are fewer devices.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    gpu = on_gpu(experiment)
    devices = experiment.devices if isinstance(experiment.devices, int) else 1
    world = devices * experiment.num_nodes
    for section in ("search", "retrain"):
        batch_size = getattr(experiment, section).batch_size
        if batch_size % world:
            fitting = [str(number) for number in range(1, min(batch_size, _MAX_LISTED) + 1) if batch_size % number == 0]
            raise ConfigError(
                f"{section}.batch_size: expected a multiple of the {world} processes (devices x num_nodes), which share it, "
                f"got {batch_size}. Use another number of processes ({', '.join(fitting)}), or in a new run another batch_size."
            )
    if gpu and devices > torch.cuda.device_count():
        raise ConfigError(f"devices: expected at most {torch.cuda.device_count()}, got {devices}.")
    if experiment.num_nodes == 1:
        _stay_on_this_machine()
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=devices,
        num_nodes=experiment.num_nodes,
        strategy=_Processes() if world > 1 else "auto",
        precision=_PRECISIONS[experiment.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    if not gpu:
        keep_freed_memory()
    return fabric


def _stay_on_this_machine() -> None:
    """Let gloo listen only on the loopback interface, unless the user names another."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])


class _Processes(DDPStrategy):
    """Connects the processes; those of one machine meet on its loopback address, where torch would listen on every one."""

    def setup_environment(self) -> None:
        at = self.cluster_environment
        if (
            not torch.distributed.is_initialized()  # by an earlier stage of the same command
            and isinstance(at, LightningEnvironment)
            and self.num_nodes == 1
            and at.main_address in ("127.0.0.1", "localhost")
        ):
            self._meet(at.local_rank(), at.main_port)
        super().setup_environment()  # which keeps a connection that is there

    def _meet(self, rank: int, port: int) -> None:
        handle = None
        if rank == 0:
            listening = socket.create_server(("127.0.0.1", port))
            handle = listening.detach()  # the store closes it
        store = TCPStore("127.0.0.1", port, self.num_processes, rank == 0, master_listen_fd=handle)
        backend = "nccl" if self.root_device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=self.num_processes)
        atexit.register(torch.distributed.destroy_process_group)


def lost_process(error: BaseException) -> RunError | None:
    """What to say when another process of the run is gone; None for any other error."""
    text = str(error).strip()
    if not re.search(r"gloo|NCCL|Connection (closed|reset) by peer", text):
        return None
    return RunError(
        f"devices: another process of this run ended ({text.splitlines()[0]:.200}). Its own message says why; without "
        "one, too little memory is the usual cause. Then go on with --resume."
    )


def on_gpu(experiment: Experiment) -> bool:
    """Whether it computes on a GPU here.

    Raises:
        ConfigError: ``devices: gpu``, and torch finds none.
    """
    if experiment.devices == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            f"devices: expected a GPU, as 'gpu' says, got none that torch {torch.__version__} can use here. "
            "Set devices: cpu, or install a torch built for this machine's GPU and driver."
        )
    return experiment.devices != "cpu" and torch.cuda.is_available()


def surroundings(experiment: Experiment) -> dict[str, Any]:
    """Versions, device, threads and commit of this process."""
    return environment(torch.cuda.get_device_name() if on_gpu(experiment) else None, torch.get_num_threads())


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step, which needs as much again.

    By default it returns large blocks to the kernel, and each of their pages costs a fault when it is next touched.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, 2**30)


def place(fabric: Fabric, module: nn.Module, precision: str) -> None:
    """Move ``module`` to the device of this process, in place."""
    module.to(fabric.device, torch.float64 if precision == "64" else torch.float32)
