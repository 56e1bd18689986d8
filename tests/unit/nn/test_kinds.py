"""The kinds beyond the published ones equal a restatement, pair by pair; what folding makes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from context_parts import HIDDEN, NUM_LABELS, POOLING, TASKS, WIDTH, every_row, randomise, tensors
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from atrcnas.ground.registry import resolve
from atrcnas.nn.blocks import PairConv
from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.nn.contexts.wide import LargeKernel
from atrcnas.nn.fold import fold_contexts
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair

PAIRS = [("a", "a"), ("b", "a"), ("a", "b"), ("c", "b"), ("b", "c")]
each_kind = pytest.mark.parametrize("kind", POOLING, ids=[kind.name for kind in POOLING])


def build(name: str, level: int, searching: bool) -> Context:
    pairs = [Pair(target, source, level) for target, source in PAIRS]
    context = resolve(KINDS[name].module)(pairs, WIDTH, HIDDEN, searching).double()
    randomise(context)
    return context


class OneRow:
    """The layers of one pair, on its own slice of the parameters."""

    def __init__(self, context: Context, row: int) -> None:
        self.context, self.row = context, row

    def part(self, stacked: Tensor | None, width: int) -> Tensor | None:
        return None if stacked is None else stacked[self.row * width : (self.row + 1) * width].detach()

    def conv(self, name: str, x: Tensor, padding: int = 0, dilation: int = 1, stride: int = 1) -> Tensor:
        layer = self.context.get_submodule(name)
        weight = self.part(layer.weight, layer.out_width)
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(x, weight, None, stride, padding, dilation, groups)

    def norm(self, name: str, y: Tensor) -> Tensor:
        layer = self.context.get_submodule(name)
        scale, shift, mean, var = (
            self.part(stacked, layer.out_width) for stacked in (layer.scale, layer.shift, layer.mean, layer.var)
        )
        if layer.training:
            mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3), correction=0)
        y = (y - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
        return y if scale is None else y * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    def conv_bn(self, name: str, x: Tensor, **shape: int) -> Tensor:
        return self.norm(name, self.conv(name, x, **shape))


def inside(valid: Tensor | None, like: Tensor) -> Tensor:
    """[B, 1, H, W] of ones and zeros."""
    return torch.ones_like(like[:, :1]) if valid is None else valid.to(like)


def linear(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    return pair.conv_bn("value.first", source).relu()


def wide(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    x = pair.conv_bn("reduce.first", source).relu() * inside(valid, source)
    layers = {"view.large": 13, "view.small.0": 5, "view.small.1": 3}
    y = sum(pair.conv_bn(name, x, padding=side // 2) for name, side in layers.items())
    return pair.conv_bn("value", y.relu()).relu()


RATES = {4: (2, 6, 12), 8: (1, 3, 6), 16: (1, 2, 3), 32: (1, 2, 3)}


def aspp(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    x = pair.conv_bn("reduce.first", source).relu()
    keep = inside(valid, x)
    mean = torch.stack([(one * k).sum((1, 2)) / k.sum() for one, k in zip(x, keep, strict=True)])[..., None, None]
    x = x * keep
    views = [x + pair.conv("mean", mean)]
    for index, rate in enumerate(RATES[pair.context.pairs[0].level]):
        views.append(pair.conv_bn(f"views.{index}", x, padding=rate, dilation=rate).relu())
    return pair.conv_bn("value", torch.cat(views, 1)).relu()


def query(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    logits = pair.conv("seeds", source)
    assert logits.shape[1] == 32
    weights = logits.masked_fill(inside(valid, source) == 0, -torch.inf).flatten(2).softmax(2)
    regions = torch.einsum("bcn,bkn->bck", source.flatten(2), weights).unsqueeze(-1)
    q = pair.conv_bn("query.second", pair.conv_bn("query.first", target).relu()).relu()
    k = pair.conv_bn("key.second", pair.conv_bn("key.first", regions).relu()).relu().squeeze(-1)
    v = pair.conv_bn("value.first", regions).relu().squeeze(-1)
    attention = (torch.einsum("bdhw,bdk->bkhw", q, k) / HIDDEN**0.5).softmax(1)
    return torch.einsum("bkhw,bdk->bdhw", attention, v)


def affinity(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    key = pair.conv_bn("key.first", source)
    key = key / key.norm(dim=1, keepdim=True)
    value = pair.conv_bn("value.first", target).relu()
    height, width = key.shape[2:]
    reach = 4 if pair.context.pairs[0].level < 16 else max(height, width)
    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    near = ((y[:, None] - y).abs() <= reach) & ((x[:, None] - x).abs() <= reach)
    seen = near & (inside(valid, key).flatten(2) > 0)
    similarity = torch.einsum("bdi,bdj->bij", key.flatten(2), key.flatten(2)) / 0.1
    attention = similarity.masked_fill(~seen, -torch.inf).softmax(2).nan_to_num()
    return torch.einsum("bij,bdj->bdi", attention, value.flatten(2)).unflatten(2, (height, width))


def cross(pair: OneRow, target: Tensor, source: Tensor, valid: Tensor | None) -> Tensor:
    keep = inside(valid, source)
    reduced = pair.conv_bn("reduce", target * keep, padding=1, stride=2)
    q = pair.conv("query", reduced)
    side = max(16 // pair.context.pairs[0].level, 1)
    cells = []
    for top in range(0, source.shape[2], side):
        for left in range(0, source.shape[3], side):
            window = (..., slice(top, top + side), slice(left, left + side))
            total, count = (source * keep)[window].sum((2, 3)), keep[window].sum((2, 3))
            cells.append((total / count.clamp(min=1), count > 0))
    pooled = torch.stack([mean for mean, _ in cells], -1).unsqueeze(-1)
    some = torch.stack([some for _, some in cells], -1)
    if side == 1 and valid is not None:
        pooled = source.flatten(2).unsqueeze(-1)  # not cleared; nothing attends to them, but BatchNorm sees them
    k, v = pair.conv("key", pooled).squeeze(-1), pair.conv_bn("value.first", pooled).relu().squeeze(-1)
    similarity = torch.einsum("bdhw,bdj->bhwj", q, k) / HIDDEN**0.5
    attention = similarity.masked_fill(~some[:, None], -torch.inf).softmax(-1)
    return bilinear_by_two(torch.einsum("bhwj,bdj->bdhw", attention, v), keep)


def bilinear_by_two(x: Tensor, keep: Tensor) -> Tensor:
    """From the half-resolution pixels that are kept: each gives 3/4 to its own two places and 1/4 to its neighbours'."""
    height, width = keep.shape[2:]

    def share(full: int, half: int) -> Tensor:
        place = torch.arange(full)[:, None] / 2 - 0.25
        return (1 - (place - torch.arange(half)).abs()).clamp(min=0).double()

    rows, columns = share(height, x.shape[2]), share(width, x.shape[3])
    mask = keep[..., ::2, ::2]
    total = torch.einsum("yi,xj,bdij->bdyx", rows, columns, x * mask)
    return total / torch.einsum("yi,xj,bdij->bdyx", rows, columns, mask).clamp(min=1e-6)


RESTATED: dict[str, Callable[[OneRow, Tensor, Tensor, Tensor | None], Tensor]] = {
    "linear": linear,
    "wide": wide,
    "aspp": aspp,
    "aspp_dense": aspp,
    "query": query,
    "affinity": affinity,
    "cross": cross,
}


@pytest.mark.parametrize("name", RESTATED)
@pytest.mark.parametrize("level", [4, 8, 16, 32])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_each_pair_equals_the_restatement(name: str, level: int, training: bool, masked: bool) -> None:
    context = build(name, level, searching=training and level == 4).train(training)
    features, labels = tensors()
    valid = torch.zeros(2, 1, 11, 14, dtype=torch.bool)
    valid[0, :, :7, :10] = valid[1, :, :, :9] = True
    valid = valid if masked else None
    expected = [
        RESTATED[name](OneRow(context, row), features[pair.target], features[pair.source], valid)
        for row, pair in enumerate(context.pairs)
    ]
    maps = context(ContextInputs(features, labels, valid), every_row(context))
    keep = torch.ones(2, 1, 11, 14, dtype=torch.bool) if valid is None else valid
    for found, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(found * keep, wanted * keep, rtol=0.0, atol=1e-10)


@each_kind
def test_a_candidate_cannot_grow_by_scaling_its_parameters(kind) -> None:
    if kind.name == "mti":
        pytest.skip("as published, it has no BatchNorm")
    pairs = [Pair(target, source) for target, source in PAIRS if target != source]
    context = resolve(kind.module)(pairs, WIDTH, HIDDEN, True).double().train()
    randomise(context)
    inputs = ContextInputs(*tensors(), None)

    def size() -> Tensor:
        return torch.stack(context(inputs, every_row(context))).square().mean().sqrt().detach()

    before = size()
    for name, parameter in context.named_parameters():
        with torch.no_grad():
            parameter *= 10
            assert size() < 2 * before, name
            parameter /= 10


# Folding.


@each_kind
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
def test_folding_changes_no_map(kind, dtype: torch.dtype, tolerance: float, plain: bool) -> None:
    context = resolve(kind.module)([Pair("a", "b"), Pair("b", "a"), Pair("a", "c")], WIDTH, HIDDEN, False)
    randomise(context)
    context = context.to(dtype).eval()
    features, labels = ({task: x.to(dtype) for task, x in part.items()} for part in tensors())
    expected = context(ContextInputs(features, labels, None), (0, 1, 2))
    for _ in range(2):  # a second time changes nothing
        fold_contexts(context)
        for part in context.modules():
            part.plain = plain
        for rows in ((0, 1, 2), (2, 0)):
            for row, found in zip(rows, context(ContextInputs(features, labels, None), rows), strict=True):
                error = (found - expected[row]).abs().max() / expected[row].abs().max()
                assert error < tolerance, error


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=str)
def test_parallel_kernels_merge_into_the_largest(dtype: torch.dtype, tolerance: float) -> None:
    layer = LargeKernel(3, HIDDEN).eval()
    randomise(layer)
    layer.to(dtype)
    x = torch.randn(2, 3 * HIDDEN, 20, 25, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = layer(x, (0, 1, 2))
    fold_contexts(layer)
    kernels = [part for part in layer.modules() if isinstance(part, PairConv)]
    assert [tuple(kernel.weight.shape) for kernel in kernels] == [(3 * HIDDEN, 1, 13, 13)]
    assert (layer(x, (0, 1, 2)) - expected).abs().max() < tolerance * expected.abs().max()


# A GPU, without one: shapes and devices alone.


@pytest.mark.usefixtures("simulated_cuda")
@each_kind
@pytest.mark.parametrize("level", [4, 16])
def test_a_step_on_a_gpu_reads_nothing_back(kind, level: int) -> None:
    """Fake tensors hold no values: what would read one on the host, or mix devices, raises."""
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        context = resolve(kind.module)([Pair("a", "b", level), Pair("b", "a", level)], WIDTH, HIDDEN, False)
        features = {task: torch.empty(2, WIDTH, 11, 14) for task in TASKS}
        labels = {task: torch.empty(2, NUM_LABELS[task], 11, 14) for task in TASKS}
        valid = torch.empty(2, 1, 11, 14, dtype=torch.bool)
        # As it is called: a tensor made without saying where would otherwise come to lie on the device by chance.
        with torch.device("cpu"):
            maps = context(ContextInputs(features, labels, valid), (0, 1))
    assert [(tuple(m.shape), m.device.type) for m in maps] == [((2, HIDDEN, 11, 14), "cuda")] * 2
