"""Exported files back into something that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from atrcnas.deploy.formats import format_of
from atrcnas.deploy.metadata import Metadata
from atrcnas.ground.errors import ExportError
from atrcnas.ground.opening import require_regular
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
        trusted: written by this very process, so that neither its content nor its outputs need be checked.

    Raises:
        ExportError: missing, damaged, of another kind, not from atrcnas, or a package for it is not installed.
    """
    load = resolve(format_of(path).load)
    try:
        require_regular(path)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot read the file ({error.strerror}). Check the path, or write it with `atrcnas deploy`."
        ) from error
    net: ExportedNet = load(path, trusted)
    return net if trusted else ExportedNet(net.metadata, _checked(net.run, net.metadata, path))


def _checked(run: Run, metadata: Metadata, path: Path) -> Run:
    """``run``, with its outputs checked against what the file says about itself."""

    def checked(image: Tensor) -> RawOutputs:
        try:
            outputs = run(image)
        except Exception as error:  # what runtimes raise shares no base class
            raise damaged(path, error) from error
        for name, task in metadata.tasks.items():
            found = outputs.get(name) if isinstance(outputs, dict) else None
            shape = list(found.shape) if isinstance(found, Tensor) and found.is_floating_point() else []
            if len(shape) != 4 or shape[:2] != [len(image), task.channels] or not all(shape):
                raise ExportError(
                    f"{path}: {name}: expected real numbers [{len(image)}, {task.channels}, height, width], got "
                    f"{shape or 'something else'}. Export it again with `atrcnas deploy`."
                )
        return outputs

    return checked


def damaged(path: Path, error: Exception) -> ExportError:
    """What to raise for a file that a runtime refuses with ``error``."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return ExportError(
        f"{path}: expected an exported network, cannot load it ({reason}). Export it again with `atrcnas deploy`."
    )
