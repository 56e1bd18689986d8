"""Convolutions joined and widened for the runtime compute what they did, and only where it pays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
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


class _Depthwise(nn.Module):
    """Depthwise convolutions of one map, with the first channels of larger weights, as contexts have them."""

    def __init__(self, width: int, alone: bool, kernel: int = 5) -> None:
        super().__init__()
        self.first, self.alone = nn.Conv2d(3, width, 3, padding=1), alone
        self.weights = nn.ParameterList(
            torch.randn(width + 7, 1, kernel, kernel) / kernel**2 for _ in range(1 if alone else 2)
        )
        self.bias = nn.Parameter(torch.randn(width) / kernel)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.relu(self.first(image))
        width = x.shape[1]
        viewed = [F.conv2d(x, weight[:width], self.bias, padding=2, groups=width) for weight in self.weights]
        return [F.relu(viewed[0]).tanh()] if self.alone else [F.relu(viewed[0]).amax(1), viewed[1].tanh(), x]


class _Grouped(nn.Module):
    """A convolution with as many groups as outputs, each of which reads several channels: not a depthwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 33, 3, padding=1), nn.Conv2d(33, 11, 3, padding=1, groups=11)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.second(F.relu(self.first(image))).tanh()]


# How many channels depthwise weights have, and how many Pad and Slice nodes there are.
DEPTHWISE = {
    "filled, in front too": (_Depthwise(33, alone=True), 36, 0, 1),
    "filled, by one node for both": (_Depthwise(33, alone=False), 36, 1, 2),
    "left alone, since it fits": (_Depthwise(36, alone=False), 36, 0, 0),
    "left alone, since each reads several channels": (_Grouped(), 11, 0, 0),
    "larger than is folded by default": (_Depthwise(399, alone=True), 400, 0, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_stay_and_convolutions_fit(name: str) -> None:
    net, widths, pads, splits = CASES[name]
    model = _arranged(net)
    dense = [tuple(node.inputs[1].shape[:2]) for node in model.graph if node.op_type == "Conv"]
    counted = Counter(node.op_type for node in model.graph)
    assert {shape: dense.count(shape) for shape in dense if shape[1] != 3} == widths
    assert (counted["Pad"], counted["Split"]) == (pads, splits)


@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise_convolutions_fit(name: str) -> None:
    net, width, pads, cuts = DEPTHWISE[name]
    model = _arranged(net)
    depthwise = [node for node in model.graph if node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1]
    counted = Counter(node.op_type for node in model.graph)
    assert {node.inputs[1].shape[0] for node in depthwise} == {width}
    assert (counted["Pad"], counted["Slice"]) == (pads, cuts)


def _arranged(net: nn.Module) -> ir.Model:
    """The exported network, whose outputs are those of ``net``."""
    image = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    model = torch.onnx.export(net.eval(), (image,), dynamo=True, verbose=False, optimize=False).model
    arrange(model)
    assert all(value.uses() for value in model.graph.initializers.values())
    infer_shapes(ir.to_proto(model), strict_mode=True)  # else a runtime warns of each shape that does not fit
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        for array, expected in zip(found, net(image), strict=True):
            np.testing.assert_allclose(array, expected.numpy(), rtol=0, atol=2e-6)
    return model
