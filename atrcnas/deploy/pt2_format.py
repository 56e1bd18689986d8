"""Exported networks as ``.pt2`` files, run by PyTorch without the network's Python code."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from atrcnas.deploy.archive import checked_copy
from atrcnas.deploy.loading import ExportedNet, RawOutputs, damaged
from atrcnas.deploy.metadata import KEY, Metadata
from atrcnas.ground.errors import ExportError


def write(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    """Write one file with all weights inside."""
    torch.export.save(program, path, extra_files={KEY: metadata.to_json()})


def load(path: Path, trusted: bool) -> ExportedNet:
    """Load a file for the CPU, by way of a checked copy unless it is ``trusted``.

    Raises:
        ExportError: it holds code, is damaged or not from atrcnas.
    """
    extra = {KEY: ""}
    try:
        with path.open("rb") if trusted else checked_copy(path) as stream:
            module = torch.export.load(stream, extra_files=extra).module()
    except ExportError:
        raise
    except Exception as error:  # its errors share no base class
        raise damaged(path, error) from error
    metadata = Metadata.from_json(extra[KEY], path)

    def run(image: Tensor) -> RawOutputs:
        with torch.no_grad():
            outputs: RawOutputs = module(image)
        return outputs

    return ExportedNet(metadata, run)
