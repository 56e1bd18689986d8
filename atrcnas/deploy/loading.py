"""Exported files back into something that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from atrcnas.deploy.archive import refuse_code
from atrcnas.deploy.metadata import INPUT, KEY, Metadata
from atrcnas.ground.errors import ExportError

MISSING_PACKAGES = "{feature} needs '{package}', which is not installed. Run: pip install 'atrcnas[deploy]'"
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
    """Load an ``.onnx`` or ``.pt2`` file, for the CPU; nothing in it but its tensor operations is ever executed.

    Args:
        path: the file.
        trusted: written by this very process, so that a ``.pt2`` need not be searched for code.

    Raises:
        ExportError: missing, damaged, of another kind, not from atrcnas, or a package for it is not installed.
    """
    loader = LOADERS.get(path.suffix.lower())
    if loader is None:
        raise ExportError(f"{path}: expected a file ending in {' or '.join(LOADERS)}. Check the path.")
    if not path.is_file():
        raise ExportError(f"{path}: no such file. Check the path, or write it with `atrcnas deploy`.")
    if path.suffix.lower() == ".pt2" and not trusted:
        refuse_code(path)
    return loader(path)


def _load_onnx(path: Path) -> ExportedNet:
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(MISSING_PACKAGES.format(feature=".onnx", package="onnxruntime")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base class
        raise _damaged(path, error) from error
    metadata = Metadata.from_json(session.get_modelmeta().custom_metadata_map.get(KEY, ""), path)
    names = [output.name for output in session.get_outputs()]

    def run(image: Tensor) -> RawOutputs:
        arrays = session.run(names, {INPUT: image.numpy()})
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}

    return ExportedNet(metadata, run)


def _load_pt2(path: Path) -> ExportedNet:
    extra = {KEY: ""}
    try:
        with path.open("rb") as stream:
            module = torch.export.load(stream, extra_files=extra).module()
    except (RuntimeError, ValueError, KeyError, TypeError, AssertionError, OSError) as error:
        raise _damaged(path, error) from error
    metadata = Metadata.from_json(extra[KEY], path)

    def run(image: Tensor) -> RawOutputs:
        with torch.no_grad():
            outputs: RawOutputs = module(image)
        return outputs

    return ExportedNet(metadata, run)


def _damaged(path: Path, error: Exception) -> ExportError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return ExportError(
        f"{path}: expected an exported network, cannot load it ({reason}). Export it again with `atrcnas deploy`."
    )


LOADERS: dict[str, Callable[[Path], ExportedNet]] = {".onnx": _load_onnx, ".pt2": _load_pt2}
