"""The tiled 3x3 convolution is the direct one, and is used only where it is faster."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn import winograd
from atrcnas.nn.heads import TaskFeatures


def both(dtype: torch.dtype, size: tuple[int, int], widths: tuple[int, ...], batch: int = 2) -> list[list[Tensor]]:
    """Outputs, then gradients of the input and of each kernel: tiled, and direct in float64."""
    torch.manual_seed(0)
    x, weights = torch.randn(batch, 5, *size).relu(), [torch.randn(width, 5, 3, 3) / 7 for width in widths]
    grads = [torch.randn(batch, width, *size) for width in widths]
    found = []
    for kind, direct in ((dtype, False), (torch.float64, True)):
        leaves = [y.to(kind).detach().clone().requires_grad_() for y in (x, *weights)]
        convolved = (
            [F.conv2d(leaves[0], w, padding=1) for w in leaves[1:]]
            if direct
            else winograd.conv3x3(leaves[0], leaves[1:])
        )
        torch.autograd.backward(convolved, [grad.to(kind) for grad in grads])
        found.append([y.detach() for y in convolved] + [leaf.grad for leaf in leaves])
    return found


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (3, 9), (8, 12), (13, 6), (17, 22)])
@pytest.mark.parametrize("widths", [(3,), (2, 7, 1)])
def test_it_equals_the_direct_convolution_in_float64(size: tuple[int, int], widths: tuple[int, ...]) -> None:
    for tiled, direct in zip(*both(torch.float64, size, widths), strict=True):
        torch.testing.assert_close(tiled, direct, rtol=0, atol=1e-12)


def test_float32_is_within_some_units_of_the_last_digit() -> None:
    for tiled, direct in zip(*both(torch.float32, (24, 20), (6, 6), batch=8), strict=True):
        assert (tiled.double() - direct).abs().max() < 5e-6 * direct.abs().max()


def test_gradients_are_those_of_finite_differences() -> None:
    x, weights = torch.randn(1, 2, 5, 6).double().requires_grad_(), [torch.randn(2, 2, 3, 3).double().requires_grad_()]
    torch.autograd.gradcheck(lambda x, *weights: winograd.conv3x3(x, weights), (x, *weights))


def test_only_what_asks_for_a_gradient_gets_one() -> None:
    x, weights = torch.randn(1, 4, 8, 8), [torch.randn(3, 4, 3, 3).requires_grad_(), torch.randn(3, 4, 3, 3)]
    sum(y.sum() for y in winograd.conv3x3(x, weights)).backward()  # type: ignore[union-attr]
    assert x.grad is None and weights[1].grad is None
    assert weights[0].grad is not None


def large(width: int = winograd.MIN_IN) -> Tensor:
    return torch.randn(2, width, 24, 32)


def test_it_is_used_in_training_on_the_cpu_with_many_channels_only() -> None:
    weights = [torch.randn(winograd.MIN_OUT // 2, winograd.MIN_IN, 3, 3) for _ in range(2)]
    assert winograd.pays(large(), weights)
    assert not winograd.pays(large(), weights[:1]), "few channels out"
    assert not winograd.pays(large(24), [torch.randn(96, 24, 3, 3)]), "few channels in"
    assert not winograd.pays(large()[..., :8, :8], weights), "few pixels"
    assert not winograd.pays(large(), [torch.randn(96, winograd.MIN_IN, 1, 1)])
    assert not winograd.pays(large().half(), weights)
    assert not winograd.pays(large().to("meta"), weights)
    with torch.no_grad():
        assert not winograd.pays(large(), weights)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(large(), weights)


def test_task_features_are_those_of_each_stem_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    tiled = TaskFeatures("conv3", ["semseg", "depth"], winograd.MIN_IN, 48).double()
    direct, x = copy.deepcopy(tiled), large().double().requires_grad_()
    calls: list[int] = []
    real = winograd.conv3x3
    monkeypatch.setattr(winograd, "conv3x3", lambda x, weights: calls.append(len(weights)) or real(x, weights))
    ours, theirs = tiled(x), {task: stem(x) for task, stem in direct.items()}
    assert calls == [2]
    for maps in (ours, theirs):
        sum((y * y).sum() for y in maps.values()).backward()  # type: ignore[union-attr]
    for task, y in ours.items():
        torch.testing.assert_close(y, theirs[task], rtol=0, atol=1e-10)
    for (name, own), other in zip(tiled.named_parameters(), direct.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-9, atol=1e-9, msg=name)
    for (name, own), other in zip(tiled.named_buffers(), direct.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-10, msg=name)
    tiled.eval()(x)
    assert calls == [2], "evaluation, and what is deployed, has plain convolutions"
