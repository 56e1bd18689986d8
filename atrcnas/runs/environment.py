"""What a run was made with: versions, device, threads and the commit of the source tree."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from atrcnas._version import __version__

_PACKAGES = ("torch", "timm", "nni", "optuna", "pytorch-lightning", "torchmetrics", "numpy")


def environment(device: str | None, threads: int) -> dict[str, Any]:
    """Versions and commit of this process, and what only torch knows, which the caller gives.

    Args:
        device: name of the GPU; None on the CPU.
        threads: that torch computes with.
    """
    return {
        "atrcnas": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "device": device or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "commit": commit(),
        "command": _command(),
    }


def _command() -> list[str] | None:
    """The words after ``atrcnas``; None where another program runs."""
    ours = "atrcnas" in Path(sys.argv[0]).parts[-2:] if sys.argv else False
    return sys.argv[1:] if ours else None


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
