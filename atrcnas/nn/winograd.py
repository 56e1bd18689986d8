"""3x3 convolution on the CPU with a quarter of the multiplications, for training steps.

Tiles of 4x4 outputs come from 36 products in place of 144 (Lavin and Gray, CVPR 2016: F(4x4, 3x3)); the transforms
before and after cost little where channels are many. In float32 the result differs from the direct sum by some 1e-6
of the largest value. GPUs have such kernels already; PyTorch's CPU library has none.

What it buys: 28 ms instead of 67 for the task features of a training step (2x128x160 image, HRNet18-S, four tasks, two
threads of an AMD EPYC; `python -m analysis.bench.parts`). What it costs: in such steps hooks on the task features'
inner modules do not run, and a FLOP counter sees fewer multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE, WINDOW, KERNEL = 4, 6, 3
# Where it is faster (measured by `python -m analysis.bench.winograd`): enough channels to pay for the transforms.
MIN_IN, MIN_OUT, MIN_PIXELS = 96, 96, 1024


def _matrices(a: float, b: float) -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of both axes at once, of windows [36, 36], kernels [36, 9] and products [16, 36].

    They evaluate and interpolate polynomials at 0, a, -a, b, -b and infinity (Toom and Cook).
    """
    aa, bb = a * a, b * b
    points = ((a, bb), (-a, bb), (b, aa), (-b, aa))  # each with the square of the other two
    window = [[aa * bb, 0, -aa - bb, 0, 1, 0], [0, aa * bb, 0, -aa - bb, 0, 1]]
    window[1:1] = [[0, -p * qq, -qq, p, 1, 0] for p, qq in points]
    kernel = [[1 / (aa * bb), 0, 0], [0, 0, 1]]
    kernel[1:1] = [[power / (2 * p * p * (p * p - qq)) for power in (1, p, p * p)] for p, qq in points]
    output = [[p**n for p in (0, a, -a, b, -b)] + [float(n == TILE - 1)] for n in range(TILE)]
    one_axis = (torch.tensor(matrix, dtype=torch.float64) for matrix in (window, kernel, output))
    return tuple(torch.kron(matrix, matrix) for matrix in one_axis)  # type: ignore[return-value]


# The points 2/3 and 3/2 round several times less than the usual 1 and 2.
_INPUT, _KERNEL, _OUTPUT = _matrices(2 / 3, 3 / 2)


def pays(x: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether :func:`conv3x3` is faster here than the direct sums; never under autocast or without gradients."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and all(weight.shape[2:] == (KERNEL, KERNEL) for weight in weights)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.shape[1] >= MIN_IN
        and sum(weight.shape[0] for weight in weights) >= MIN_OUT
        and x.shape[0] * x.shape[2] * x.shape[3] >= MIN_PIXELS
    )


def conv3x3(x: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """``F.conv2d(x, weight, padding=1)`` for each of ``weights``, computed together; differentiable once.

    Args:
        x: [B, C, H, W] float32 or float64.
        weights: each [O, C, 3, 3], of the same dtype.

    Returns:
        One [B, O, H, W] for each, channels-last.
    """
    results: tuple[Tensor, ...] = _Winograd.apply(x, *weights)
    return results


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        windows, weight = _windows(x), torch.cat(weights)
        ctx.save_for_backward(windows, weight)
        ctx.size, ctx.widths = x.shape, [weight.shape[0] for weight in weights]
        return _join(_products(windows, weight), x.shape, ctx.widths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        windows, weight = ctx.saved_tensors
        grad = torch.cat(grads, dim=1)
        grad_x: Tensor | None = None
        grad_weights: tuple[Tensor | None, ...] = (None,) * len(grads)
        if ctx.needs_input_grad[0]:  # the same convolution, the kernel turned around
            turned = weight.flip(2, 3).transpose(0, 1)
            (grad_x,) = _join(_products(_windows(grad), turned), ctx.size, [weight.shape[1]])
        if any(ctx.needs_input_grad[1:]):
            products = torch.bmm(_cut(grad).permute(1, 2, 0), windows.transpose(0, 1))
            taps = _to_each(products.transpose(0, 1), _KERNEL.T)  # [O, 9, C]
            grad_weights = taps.unflatten(1, (KERNEL, KERNEL)).permute(0, 3, 1, 2).split(ctx.widths)
        return grad_x, *grad_weights


def _to_each(tiles: Tensor, matrix: Tensor) -> Tensor:
    """``matrix`` [m, n] times each of ``tiles`` [tiles, n, C]; a few columns at a time, as MKL splits among threads."""
    return torch.bmm(matrix.to(tiles.dtype).expand(len(tiles), *matrix.shape), tiles)


def _windows(x: Tensor) -> Tensor:
    """Overlapping 6x6 windows of the padded map [B, C, H, W], transformed: [tiles, 36, C]."""
    _, channels, height, width = x.shape
    padded = F.pad(x, (1, 1 + -width % TILE, 1, 1 + -height % TILE)).permute(0, 2, 3, 1)
    windows = padded.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(0, 1, 2, 4, 5, 3)
    return _to_each(windows.reshape(-1, WINDOW**2, channels), _INPUT)


def _products(windows: Tensor, weight: Tensor) -> Tensor:
    """Windows [tiles, 36, C] times the transformed kernels [O, C, 3, 3]: [36, tiles, O]."""
    kernels = _to_each(weight.permute(0, 2, 3, 1).flatten(1, 2).contiguous(), _KERNEL)  # [O, 36, C]
    return torch.bmm(windows.transpose(0, 1), kernels.permute(1, 2, 0))


def _cut(grad: Tensor) -> Tensor:
    """Gradient [B, O, H, W] of the output in 4x4 tiles, as it reaches the products: [tiles, 36, O]."""
    batch, channels, height, width = grad.shape
    padded = F.pad(grad, (0, -width % TILE, 0, -height % TILE)).permute(0, 2, 3, 1)
    rows, columns = padded.shape[1] // TILE, padded.shape[2] // TILE
    tiles = padded.reshape(batch, rows, TILE, columns, TILE, channels).permute(0, 1, 3, 2, 4, 5)
    return _to_each(tiles.reshape(-1, TILE**2, channels), _OUTPUT.T)


def _join(products: Tensor, size: torch.Size, widths: list[int]) -> tuple[Tensor, ...]:
    """Products [36, tiles, sum of widths] to one [B, width, H, W] for each width, channels-last."""
    batch, (height, width) = size[0], size[2:]
    rows, columns = -(-height // TILE), -(-width // TILE)
    tiles = _to_each(products.transpose(0, 1), _OUTPUT).view(batch, rows, columns, TILE, TILE, -1)
    parts = tiles.permute(0, 1, 3, 2, 4, 5).split(widths, dim=-1)
    maps = (part.reshape(batch, rows * TILE, columns * TILE, -1) for part in parts)
    return tuple(y.permute(0, 3, 1, 2)[..., :height, :width] for y in maps)
