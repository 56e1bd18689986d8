"""Exported networks as ``.int8.onnx`` files: weights and values between operations in 8 bits, a quarter of the size."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram

from atrcnas.deploy import onnx_format
from atrcnas.deploy.metadata import INPUT, KEY, Metadata


def write(program: ExportedProgram, path: Path, metadata: Metadata, images: Tensor) -> None:
    """Write one file with all weights inside; input and outputs stay float32.

    Weights get a scale per channel. Values get one scale per tensor, from the largest and smallest that occur on ``images``.

    Args:
        program: the network.
        path: the file.
        metadata: what the file says of itself.
        images: [N, 3, H, W] float RGB in [0, 1], such as will come.

    Raises:
        ExportError: see :func:`~atrcnas.deploy.onnx_format.write`.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder, "plain.onnx"), Path(folder, "prepared.onnx")
        onnx_format.write(program, plain, metadata)
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        logging.getLogger().addFilter(_quiet)
        try:
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                path,
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                # The pair that ONNX Runtime has fast kernels for on x86.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.getLogger().removeFilter(_quiet)
        model = onnx.load(path)
        onnx.helper.set_model_props(model, {KEY: metadata.to_json()})
        onnx.save(model, path)


def _quiet(_: logging.LogRecord) -> bool:
    """Drop the remarks that the quantiser makes on the root logger."""
    return False


class _Reader:
    """Images one at a time, as the calibration asks for them."""

    def __init__(self, images: Iterable[Tensor]) -> None:
        self._rest = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of the next run; None after the last."""
        image = next(self._rest, None)
        return None if image is None else {INPUT: image[None].numpy()}
