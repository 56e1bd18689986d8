"""Bilinear resizing: where a CPU differentiates it, it takes another form, with the same values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.blocks import resize

SIZES = [((4, 6), (16, 24)), ((5, 7), (13, 29)), ((8, 8), (3, 5)), ((1, 3), (4, 3))]


def reference(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_torch(
    before: tuple[int, int], after: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *before, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(2, 3, *after, dtype=torch.float64)
    ours, theirs = resize(x, after), reference(x, after)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weights).sum(), x)[0],
        torch.autograd.grad((theirs * weights).sum(), x)[0],
        rtol=0,
        atol=1e-12,
    )


def test_second_derivatives_exist() -> None:
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: resize(x, (7, 9)) ** 2, x)


def test_it_stays_one_operation_where_nothing_is_differentiated() -> None:
    """A deployed network holds a Resize, which runtimes know, not products with matrices."""
    x = torch.randn(1, 2, 4, 6, requires_grad=True)
    with torch.no_grad():
        exported = torch.export.export(_Resizing(), (x.detach(),))
    assert [node.target.name() for node in exported.graph.nodes if node.op == "call_function"] == [
        "aten::upsample_bilinear2d.vec"
    ]


def test_half_precision_keeps_the_precision_that_autocast_gives_it() -> None:
    x = torch.randn(1, 2, 4, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert resize(x, (8, 12)).dtype == reference(x, (8, 12)).dtype == torch.float32


class _Resizing(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return resize(x, (8, 12))
