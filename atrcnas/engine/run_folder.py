"""The run folder: where each file of a run is, who may write it, and what it was made with."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from atrcnas._version import __version__
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_json, write_yaml
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def experiment(self) -> Path:
        """The resolved experiment."""
        return self.root / "experiment.yaml"

    @property
    def contexts(self) -> Path:
        """The chosen context config."""
        return self.root / "contexts.yaml"

    @property
    def weights(self) -> Path:
        """Weights of the retrained network."""
        return self.root / "model.safetensors"

    @property
    def results(self) -> Path:
        """Scores and costs of the retrained network."""
        return self.root / "results.json"

    @property
    def samples(self) -> Path:
        """Predictions and ground truth of some validation images."""
        return self.root / "samples"

    def stage(self, stage: str) -> Path:
        """Folder of ``search`` or ``retrain``: metrics, logits, checkpoints."""
        return self.root / stage

    def load_experiment(self) -> Experiment:
        """The experiment this run was made with.

        Raises:
            RunError: this is no run folder.
        """
        if not self.experiment.is_file():
            raise RunError(f"{self.root}: expected a run folder with experiment.yaml, found none. Check the path.")
        return Experiment.load(self.experiment)

    def load_contexts(self) -> ContextConfig:
        """The context config of this run.

        Raises:
            RunError: nothing was searched or given yet.
        """
        if not self.contexts.is_file():
            raise RunError(
                f"{self.contexts}: not there yet. Run `atrcnas search` into {self.root} first, or give --contexts."
            )
        return ContextConfig.load(self.contexts)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            RunError: another process holds it, or it cannot be written.
        """
        lock = None
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".lock")
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"{self.root}: another process is writing this run. Wait for it, or choose another --run."
            ) from error
        except OSError as error:
            raise RunError(f"{self.root}: cannot write here ({error.strerror}). Choose another --run.") from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, experiment: Experiment, stage: str, resume: bool) -> None:
        """Write what this run is made with, unless it is resumed.

        Raises:
            RunError: the stage has begun already and ``resume`` is off, or its experiment differs.
        """
        begun = self.stage(stage).exists()
        if begun and not resume:
            raise RunError(
                f"{self.stage(stage)}: this run has begun already. Add --resume to go on, or choose another --run."
            )
        if resume and self.experiment.is_file():
            self._check_same(experiment)
        write_yaml(self.experiment, experiment.dump())
        write_json(self.root / "environment.json", environment(experiment))
        self.stage(stage).mkdir(parents=True, exist_ok=True)

    def _check_same(self, experiment: Experiment) -> None:
        before, now = self.load_experiment().dump(), experiment.dump()
        differing = [key for key in now if key not in ("devices", "plugins") and now[key] != before.get(key)]
        if differing:
            raise RunError(
                f"{self.experiment}: cannot resume, the experiment differs in {differing}. "
                "Use the run's own experiment.yaml, or choose another --run."
            )


def environment(experiment: Experiment) -> dict[str, Any]:
    """Versions, device and commit of this process."""
    packages = ("torch", "timm", "nni", "pytorch-lightning", "torchmetrics", "numpy")
    cuda = torch.cuda.is_available() and experiment.devices != "cpu"
    return {
        "atrcnas": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The git commit of the source tree, None when installed without one."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None
