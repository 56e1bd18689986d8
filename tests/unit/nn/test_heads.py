"""The ASPP head: what it sees, padding, and batches of one image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from atrcnas.nn.heads import Aspp, Head

WIDTH = 5


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def build() -> Aspp:
    torch.manual_seed(0)
    return Aspp(WIDTH).double()


def test_aspp_sees_a_grid_of_pixels_at_its_rates_and_the_whole_image() -> None:
    aspp = build().eval()
    x = noise(1, WIDTH, 45, 45).requires_grad_()
    aspp(x)[0, :, 22, 22].sum().backward()
    reached = x.grad[0].abs().sum(0)
    assert (reached > 0).all(), "through the mean of the image"
    rates = (-18, -12, -6, 0, 6, 12, 18)
    grid = {(22 + r * rate, 22 + c * rate) for rate in (6, 12, 18) for r in (-1, 0, 1) for c in (-1, 0, 1)}
    far = reached.median() * 1.001
    assert {tuple(place) for place in (reached > far).nonzero().tolist()} == grid
    assert {row - 22 for row, _ in grid} == set(rates)


@pytest.mark.parametrize("batch", [1, 2])
def test_aspp_trains_at_any_batch_size_and_all_of_it_learns(batch: int) -> None:
    aspp = build().train()
    # Not the sum: BatchNorm would make it constant.
    (aspp(noise(batch, WIDTH, 8, 9)) * noise(batch, WIDTH, 8, 9)).sum().backward()
    for name, parameter in aspp.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert aspp.whole[0].weight.grad.abs().sum() > 0


def test_aspp_leaves_padding_out_of_the_mean() -> None:
    aspp = build().eval()
    for conv in aspp.atrous:
        torch.nn.init.zeros_(conv[0].weight)  # convolutions see what is next to a pixel, padding too
    x = noise(2, WIDTH, 6, 7)
    valid = F.pad(torch.ones(2, 1, 6, 7, dtype=torch.bool), (0, 4, 0, 2))
    padded = F.pad(x, (0, 4, 0, 2), value=9.0)
    torch.testing.assert_close(aspp(padded, valid)[..., :6, :7], aspp(x), rtol=0, atol=1e-12)
    assert not torch.allclose(aspp(padded)[..., :6, :7], aspp(x))
    assert aspp(padded, torch.zeros_like(valid)).isfinite().all()


def test_a_head_with_aspp_predicts_a_tasks_channels() -> None:
    head = Head("aspp", {4: WIDTH}, 3).double()
    assert head({4: noise(1, WIDTH, 6, 7)}).shape == (1, 3, 6, 7)
    assert isinstance(head.aspp, Aspp)
    assert Head("conv1", {4: WIDTH}, 3).aspp is None
