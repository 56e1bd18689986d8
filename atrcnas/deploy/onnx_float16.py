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
    import onnx_ir as ir
    from onnx_ir.passes.common import TopologicalSortPass
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    # It casts a constant once for each of its readers, under one name; appends casts behind those who read them; and
    # leaves types of values as they were.
    once = {node.output[0]: node for node in model.graph.node}
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(once.values())
    sorted_model = ir.from_proto(model)
    TopologicalSortPass()(sorted_model)
    onnx.save(ir.to_proto(sorted_model), path)
