"""The table of deploy formats. A new one is one file that writes and loads it, and one registration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import ExportError
from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class DeployFormat:
    """One form of an exported network; its functions are given themselves or as ``"module:function"`` strings.

    Attributes:
        name: the suffix of its files, lower case, with the dot.
        runtime: what its latency is called in results.json.
        write: ``(program, path, metadata) -> None``: a ``torch.export.ExportedProgram`` that takes [batch, 3, H, W]
            RGB in [0, 1] and gives task -> raw output, with any batch; the file must keep ``metadata.to_json()``.
        load: ``(path, trusted) -> ExportedNet``; a file that is not ``trusted`` comes from elsewhere, and nothing in it
            but tensor operations may be executed.
    """

    name: str
    runtime: str
    write: Any
    load: Any


DEPLOY_FORMATS: Registry[DeployFormat] = Registry("deploy format")
DEPLOY_FORMATS.register(
    DeployFormat(".onnx", "onnxruntime", "atrcnas.deploy.onnx_format:write", "atrcnas.deploy.onnx_format:load")
)
DEPLOY_FORMATS.register(
    DeployFormat(".pt2", "exported", "atrcnas.deploy.pt2_format:write", "atrcnas.deploy.pt2_format:load")
)


def format_of(path: Path) -> DeployFormat:
    """The format that a file's suffix names.

    Raises:
        ExportError: none does.
    """
    suffix = path.suffix.lower()
    if suffix not in DEPLOY_FORMATS:
        known = " or ".join(DEPLOY_FORMATS.names)
        raise ExportError(
            f"{path}: unknown deploy format '{path.suffix}'; expected a file ending in {known}. "
            "Rename it, or name the plugin that adds the format."
        )
    return DEPLOY_FORMATS[suffix]
