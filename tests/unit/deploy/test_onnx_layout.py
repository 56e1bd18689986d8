"""Convolutions joined and widened for the runtime compute what they did, and only where it pays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx.shape_inference import infer_shapes
from torch import Tensor, nn

from atrcnas.deploy.onnx_layout import arrange

SIDE = 12


class _Heads(nn.Module):
    """Convolutions of one map, followed by other things."""

    def __init__(self, width: int, outs: list[int], kernel: int, between: type[nn.Module], last: int | None) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, out, kernel, padding=kernel // 2) for out in outs)
        self.between = between()
        self.last = nn.ModuleList(nn.Conv2d(out, last, 1, bias=False) if last else nn.Identity() for out in outs)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.first(image).tanh()
        return [last(self.between(conv(x.detach()))) for conv, last in zip(self.convs, self.last, strict=True)]


# The widths of the maps, and what is left: of which shapes [outputs, inputs], and how many Pad and Split nodes.
CASES = {
    "joined": (_Heads(67, [67, 66, 9], 3, nn.ReLU, None), {(142, 68): 1}, 1, 1),
    "joined without activation": (_Heads(67, [67, 67], 3, nn.Identity, None), {(134, 68): 1}, 1, 1),
    "apart, where joining saves no block": (_Heads(270, [256, 240], 1, nn.ReLU, None), {(256, 272): 1, (240, 272): 1}, 1, 0),
    "widened in front": (_Heads(70, [270, 256], 1, nn.ReLU, 40), {(272, 72): 1, (256, 72): 1, (40, 272): 1, (40, 256): 1}, 1, 0),
    "left alone, since it fits": (_Heads(68, [67, 67], 3, nn.ReLU, None), {(67, 68): 2}, 0, 0),
    "left alone, since it is small": (_Heads(67, [8, 8], 1, nn.ReLU, None), {(8, 67): 2}, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_outputs_stay_and_convolutions_fit(name: str) -> None:
    net, widths, pads, splits = CASES[name]
    image = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    model = torch.onnx.export(net.eval(), (image,), dynamo=True, verbose=False, optimize=False).model
    arrange(model)
    dense = [tuple(node.inputs[1].shape[:2]) for node in model.graph if node.op_type == "Conv"]
    counted = Counter(node.op_type for node in model.graph)
    assert {shape: dense.count(shape) for shape in dense if shape[1] != 3} == widths
    assert (counted["Pad"], counted["Split"]) == (pads, splits)
    assert all(value.uses() for value in model.graph.initializers.values())
    infer_shapes(ir.to_proto(model), strict_mode=True)  # else a runtime warns of each shape that does not fit
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        for array, expected in zip(found, net(image), strict=True):
            np.testing.assert_allclose(array, expected.numpy(), rtol=0, atol=2e-6)
