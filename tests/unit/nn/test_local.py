"""Tiled window attention equals a plain restatement by unfolding, in values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.contexts.local import plain_window_attention, window_attention, window_cap

EXACT = {"rtol": 0.0, "atol": 1e-12}
SIZES = [(1, 1), (3, 7), (8, 8), (9, 17), (23, 13)]


def unfolded(query: Tensor, key: Tensor, value: Tensor, heads: int, kernel: int) -> Tensor:
    """Every window written out: zero similarity and zero value outside of the image, both in the softmax."""
    batch, channels, height, width = query.shape
    d = channels // heads
    windows = [
        F.unfold(x, kernel, padding=kernel // 2).reshape(batch, heads, d, kernel * kernel, height * width)
        for x in (key, value)
    ]
    q = query.reshape(batch, heads, d, 1, height * width)
    weights = ((q * windows[0]).sum(2, keepdim=True) / math.sqrt(d)).softmax(3)
    return (weights * windows[1]).sum(3).reshape(query.shape)


def draw(batch: int, channels: int, size: tuple[int, int]) -> list[Tensor]:
    torch.manual_seed(size[0] * 100 + size[1])
    return [2 * torch.randn(batch, channels, *size, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize("kernel", [3, 5, 9])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("heads", [1, 3])
def test_equals_the_unfolded_form(kernel: int, size: tuple[int, int], heads: int) -> None:
    q, k, v = draw(2, 6, size)
    torch.testing.assert_close(window_attention(q, k, v, heads, kernel), unfolded(q, k, v, heads, kernel), **EXACT)


@pytest.mark.parametrize("kernel", [3, 9])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_form_for_other_runtimes_equals_the_unfolded_one(kernel: int, size: tuple[int, int]) -> None:
    q, k, v = (x.abs() for x in draw(2, 3, size))
    found = plain_window_attention(q, k, v, window_cap(q, kernel), kernel)
    torch.testing.assert_close(found, unfolded(q, k, v, 1, kernel), **EXACT)


def test_what_lies_outside_of_a_window_gets_no_denormal_weight() -> None:
    weights = torch.minimum(torch.zeros(64, 256), window_cap(torch.zeros(()))).softmax(1)
    assert (weights > torch.finfo(torch.float32).tiny).all()
    assert ((weights > 1e-3).sum(1) == 81).all()


@pytest.mark.parametrize("kernel", [3, 9])
def test_gradients_equal_those_of_the_unfolded_form(kernel: int) -> None:
    tensors = draw(1, 4, (11, 6))
    cotangent = torch.randn(1, 4, 11, 6, dtype=torch.float64)
    grads = []
    for attend in (window_attention, unfolded):
        leaves = [x.clone().requires_grad_() for x in tensors]
        attend(*leaves, 2, kernel).backward(cotangent)
        grads.append([leaf.grad for leaf in leaves])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_equal_finite_differences(kernel: int) -> None:
    leaves = [x.requires_grad_() for x in draw(1, 2, (3, 4))]
    assert torch.autograd.gradcheck(lambda q, k, v: window_attention(q, k, v, 1, kernel), leaves)


def test_channels_last_changes_nothing() -> None:
    tensors = draw(2, 6, (10, 13))
    last = [x.contiguous(memory_format=torch.channels_last) for x in tensors]
    torch.testing.assert_close(window_attention(*tensors, 2), window_attention(*last, 2), **EXACT)
