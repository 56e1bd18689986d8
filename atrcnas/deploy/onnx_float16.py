"""Exported networks as ``.fp16.onnx`` files: half the size, values of half the precision inside."""

from __future__ import annotations

from pathlib import Path

from torch.export import ExportedProgram

from atrcnas.deploy import onnx_format
from atrcnas.deploy.metadata import Metadata


def write(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    """Write one file with all weights inside; input and outputs stay float32.

    Raises:
        ExportError: see :func:`~atrcnas.deploy.onnx_format.write`.
    """
    onnx_format.write(program, path, metadata)
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), path)
