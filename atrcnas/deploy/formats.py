"""The table of deploy formats. A new one is one file that writes and loads it, and one registration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import ExportError
from atrcnas.ground.registry import Registry

ROUNDING = 1e-4


@dataclass(frozen=True)
class DeployFormat:
    """One form of an exported network; its functions are given themselves or as ``"module:function"`` strings.

    Attributes:
        name: how its files end, lower case, with the dot; of several that fit a file, the longest counts.
        runtime: what it is called in results.json.
        write: ``(program, path, metadata) -> None``: a ``torch.export.ExportedProgram`` that takes [batch, 3, H, W]
            RGB in [0, 1] and gives task -> raw output, with any batch; the file must keep ``metadata.to_json()``.
        load: ``(path, trusted) -> ExportedNet``; a file that is not ``trusted`` comes from elsewhere, and nothing in it
            but tensor operations may be executed.
        tolerance: largest absolute difference to the network's outputs, relative to their range, with which a file is
            written; more than :data:`ROUNDING` where a format trades precision for size or time.
        plain: the network is traced in the form for other runtimes than PyTorch (:class:`~atrcnas.nn.blocks.Portable`).
        calibrated: ``write`` gets a fourth argument, [N, 3, H, W] float images to measure the ranges of values on.
    """

    name: str
    runtime: str
    write: Any
    load: Any
    tolerance: float = ROUNDING
    plain: bool = False
    calibrated: bool = False


DEPLOY_FORMATS: Registry[DeployFormat] = Registry("deploy format")
_LOAD_ONNX = "atrcnas.deploy.onnx_format:load"
DEPLOY_FORMATS.register(
    DeployFormat(".onnx", "onnxruntime", "atrcnas.deploy.onnx_format:write", _LOAD_ONNX, plain=True)
)
DEPLOY_FORMATS.register(
    DeployFormat(
        ".fp16.onnx",
        "onnxruntime float16",
        "atrcnas.deploy.onnx_float16:write",
        _LOAD_ONNX,
        tolerance=0.05,
        plain=True,
    )
)
DEPLOY_FORMATS.register(
    DeployFormat(
        ".int8.onnx",
        "onnxruntime int8",
        "atrcnas.deploy.onnx_int8:write",
        _LOAD_ONNX,
        tolerance=0.5,
        plain=True,
        calibrated=True,
    )
)
DEPLOY_FORMATS.register(
    DeployFormat(".pt2", "exported", "atrcnas.deploy.pt2_format:write", "atrcnas.deploy.pt2_format:load")
)


def is_exported(path: Path) -> bool:
    """Whether a file's name is that of an exported network."""
    return path.name.lower().endswith(DEPLOY_FORMATS.names)


def format_of(path: Path) -> DeployFormat:
    """The format that the end of a file's name says.

    Raises:
        ExportError: none does.
    """
    fitting = [form for form in DEPLOY_FORMATS if path.name.lower().endswith(form.name)]
    if not fitting:
        known = " or ".join(DEPLOY_FORMATS.names)
        raise ExportError(
            f"{path}: unknown deploy format '{path.suffix}'; expected a file ending in {known}. "
            "Rename it, or name the plugin that adds the format."
        )
    return max(fitting, key=lambda form: len(form.name))
