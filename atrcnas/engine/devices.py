"""Where a run computes: one process a device, connected where there are several.

With several devices the command starts a process for each and runs again in all of them; under torchrun or SLURM the
processes are there already. All draw the same mixtures, each takes its share of every batch, gradients are averaged;
the first process alone writes.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from atrcnas.ground.errors import ConfigError
from atrcnas.runs.environment import environment
from atrcnas.spec.experiment import Experiment

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}
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
            raise ConfigError(
                f"{section}.batch_size: expected a multiple of the {world} processes (devices x num_nodes), "
                f"got {batch_size}."
            )
    if gpu and devices > torch.cuda.device_count():
        raise ConfigError(f"devices: expected at most {torch.cuda.device_count()}, got {devices}.")
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=devices,
        num_nodes=experiment.num_nodes,
        strategy="ddp" if world > 1 else "auto",
        precision=_PRECISIONS[experiment.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    if not gpu:
        keep_freed_memory()
    return fabric


def on_gpu(experiment: Experiment) -> bool:
    """Whether it computes on a GPU here."""
    return experiment.devices != "cpu" and torch.cuda.is_available()


def surroundings(experiment: Experiment) -> dict[str, Any]:
    """Versions, device, threads and commit of this process."""
    return environment(torch.cuda.get_device_name() if on_gpu(experiment) else None, torch.get_num_threads())


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step, which wants as much again.

    By default it returns large blocks to the kernel, and each of their pages costs a fault when it is next touched.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, 2**30)


def place(fabric: Fabric, module: nn.Module, precision: str) -> None:
    """Move ``module`` to the device of this process, in place."""
    module.to(fabric.device, torch.float64 if precision == "64" else torch.float32)
