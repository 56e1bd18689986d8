"""Exported files back into something that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from atrcnas.deploy.formats import format_of
from atrcnas.deploy.metadata import Metadata
from atrcnas.ground.errors import ExportError
from atrcnas.ground.registry import resolve

RawOutputs = dict[str, Tensor]
Run = Callable[[Tensor], RawOutputs]


@dataclass(frozen=True)
class ExportedNet:
    """A network from a file.

    Attributes:
        metadata: tasks and image size.
        run: [B, 3, H, W] float32 RGB in [0, 1], of the file's size and any B, to task -> [B, channels, H, W] raw.
    """

    metadata: Metadata
    run: Run


def load_exported(path: Path, trusted: bool = False) -> ExportedNet:
    """Load an exported file, for the CPU; nothing in it but its tensor operations is ever executed.

    Args:
        path: the file, of any registered format.
        trusted: written by this very process, so that it need not be searched for code.

    Raises:
        ExportError: missing, damaged, of another kind, not from atrcnas, or a package for it is not installed.
    """
    load = resolve(format_of(path).load)
    if not path.is_file():
        raise ExportError(f"{path}: no such file. Check the path, or write it with `atrcnas deploy`.")
    loaded: ExportedNet = load(path, trusted)
    return loaded


def damaged(path: Path, error: Exception) -> ExportError:
    """What to raise for a file that a runtime refuses with ``error``."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return ExportError(
        f"{path}: expected an exported network, cannot load it ({reason}). Export it again with `atrcnas deploy`."
    )
