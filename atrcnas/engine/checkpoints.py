"""Writing and reading checkpoints: atomically, and without ever executing what is read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import CheckpointIO

from atrcnas.ground.errors import CheckpointError
from atrcnas.ground.files import write_atomically


class AtomicCheckpoints(CheckpointIO):
    """Lightning's checkpoint files, written to a temporary file and renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write; the file before stays whole until the new one is."""
        write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read tensors and plain values only; see :func:`read_checkpoint`."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete, if it is there."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint without executing it.

    Raises:
        CheckpointError: missing, truncated, or holding objects that would have to be executed.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint. Check the path, or run without --resume.")
    try:
        value = torch.load(path, map_location=map_location, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({reason}). Use an earlier one, or begin anew."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a checkpoint, got {type(value).__name__}. Use a file from a run folder."
        )
    return value
