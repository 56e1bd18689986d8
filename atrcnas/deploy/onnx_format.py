"""Exported networks as ``.onnx`` files, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from atrcnas.deploy.loading import ExportedNet, RawOutputs, damaged
from atrcnas.deploy.metadata import INPUT, KEY, Metadata
from atrcnas.deploy.onnx_layout import arrange
from atrcnas.ground.errors import ExportError

MAX_BYTES = 2_000_000_000
_MISSING_PACKAGE = ".onnx needs '{}', which is not installed. Run: pip install 'atrcnas[deploy]'"


def write(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    """Write one file with all weights inside.

    Raises:
        ExportError: a package is missing, or the weights exceed what the format holds.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(_MISSING_PACKAGE.format(error.name)) from error
    num_bytes = sum(tensor.nbytes for tensor in program.state_dict.values())
    if num_bytes > MAX_BYTES:
        raise ExportError(f"an .onnx file holds at most 2 GB, the weights take {num_bytes / 1e9:.1f} GB. Use .pt2.")
    names = list(metadata.tasks)
    shapes = {INPUT: {0: "batch"}}
    exported: Any = torch.onnx.export(
        program,
        input_names=[INPUT],
        output_names=names,
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
        optimize=False,
    )
    arrange(exported.model)
    exported.model.metadata_props[KEY] = metadata.to_json()
    exported.save(path, external_data=False)


def load(path: Path, trusted: bool) -> ExportedNet:
    """Load a file for the CPU; an ONNX graph holds tensor operations only, and what the file says about itself is checked.

    Raises:
        ExportError: damaged, not from atrcnas, or ONNX Runtime is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(_MISSING_PACKAGE.format("onnxruntime")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        description = session.get_modelmeta().custom_metadata_map.get(KEY, "")
        names = [output.name for output in session.get_outputs()]
        shapes = {node.name: list(node.shape[1:]) for node in session.get_inputs()}
    except Exception as error:  # its errors share no base class
        raise damaged(path, error) from error
    metadata = Metadata.from_json(description, path)
    if set(names) != set(metadata.tasks) or shapes != {INPUT: [3, *metadata.size]}:
        raise ExportError(
            f"{path}: expected the input '{INPUT}' {[3, *metadata.size]} and an output per task "
            f"({', '.join(metadata.tasks)}), as it says about itself, got {shapes!s:.200} and {', '.join(names):.200}. "
            "Export it again with `atrcnas deploy`."
        )

    def run(image: Tensor) -> RawOutputs:
        arrays = session.run(names, {INPUT: image.numpy()})
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}

    return ExportedNet(metadata, run)
