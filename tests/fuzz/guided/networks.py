"""Targets that read exported networks: what they say about themselves, and what their archives hold."""

from __future__ import annotations

import torch
from torch import nn

from atrcnas.deploy import onnx_format, pt2_format
from atrcnas.deploy.archive import checked_copy
from atrcnas.deploy.loading import load_exported
from atrcnas.deploy.metadata import KEY, Metadata
from tests.fuzz.guided.containers import entries, or_raw, plain
from tests.fuzz.guided.documents import RECORD_KEYS, RECORDS
from tests.fuzz.guided.mutators import Mutator, tree
from tests.fuzz.guided.rule import HOME, Target

_SIZE, _TASKS = (4, 4), {"depth": RECORDS["depth"]}


class _Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Conv2d(3, task.channels or 1, 1) for name, task in _TASKS.items()})

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: layer(image) for name, layer in self.layers.items()}


def exported(suffix: str) -> bytes:
    """A tiny network as a file."""
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(_Tiny().eval(), (torch.zeros(2, 3, *_SIZE),), dynamic_shapes=shapes)
    metadata = Metadata(height=_SIZE[0], width=_SIZE[1], tasks=_TASKS)
    path = HOME / f"seed{suffix}"
    {".onnx": onnx_format, ".pt2": pt2_format}[suffix].write(program, path, metadata)
    return path.read_bytes()


def _described(graph: bytes, description: bytes) -> bytes:
    """A graph with another description: of a field that appears twice in a protobuf message, both are read, in order."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    return graph + field(14, field(1, KEY.encode()) + field(2, description))


_GRAPH: list[bytes] = []


def _as_onnx(description: bytes) -> bytes:
    if not _GRAPH:
        _GRAPH.append(exported(".onnx"))
    return _described(_GRAPH[0], description)


def _descriptions() -> list[bytes]:
    return [Metadata(height=height, width=4, tasks=_TASKS).to_json().encode() for height in (4, 5)]


_PROGRAM = tree([
    "expr_str", "target", "guards_code", "range_constraints", "use_pickle", "as_int", "as_tensor", "as_expr", "s0", "u1",
    "Symbol('s0', positive=True, integer=True)", "Pow(Integer(9), Integer(9))", "Mul(Integer(2), Symbol('s0'))", "1" * 40 + "x",
    "torch.ops.aten.add.Tensor", "torch.ops.aten.conv2d.default", "torch.sym_max", "_operator.mul", "os.system", "builtins.eval",
])  # fmt: skip


def _entry(name: str) -> Mutator:
    return _PROGRAM if name.endswith(".json") else tree(RECORD_KEYS) if name.endswith(KEY) else plain


TARGETS = {
    "pt2-archive": Target("x.pt2", checked_copy, lambda: [exported(".pt2")], or_raw(entries(_entry)), 30_000, 1 << 17),
    "pt2": Target("x.pt2", load_exported, lambda: [exported(".pt2")], or_raw(entries(_entry)), 20_000, 1 << 17),
    "onnx": Target("x.onnx", load_exported, _descriptions, tree(RECORD_KEYS), 20_000, wrap=_as_onnx),
}  # fmt: skip
