"""The convolution blocks everything else is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBN(nn.Sequential):
    """Convolution without bias, BatchNorm, and ReLU unless ``activate`` is off; spatial size is kept."""

    def __init__(
        self, in_width: int, out_width: int, kernel: int = 1, activate: bool = True, dilation: int = 1
    ) -> None:
        padding = kernel // 2 * dilation
        layers: list[nn.Module] = [
            nn.Conv2d(in_width, out_width, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(out_width),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activate else []))

    @property
    def conv(self) -> nn.Conv2d:
        """Its convolution."""
        return cast(nn.Conv2d, self[0])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """Its BatchNorm."""
        norm = self[1]
        if not isinstance(norm, nn.BatchNorm2d):
            raise TypeError("the BatchNorm was folded")
        return norm

    def finish(self, y: Tensor) -> Tensor:
        """Everything after the convolution."""
        for layer in list(self)[1:]:
            y = layer(y)
        return y


class Residual(nn.Module):
    """ResNet's block: ``relu(body(x) + shortcut(x))``; the shortcut is projected when widths differ."""

    def __init__(self, body: nn.Module, in_width: int, out_width: int) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if in_width == out_width else ConvBN(in_width, out_width, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_width, H, W] to [B, out_width, H, W]."""
        return F.relu(self.body(x) + self.shortcut(x))


def basic_block(in_width: int, out_width: int) -> Residual:
    """Two 3x3 convolutions (He et al., CVPR 2016)."""
    body = nn.Sequential(ConvBN(in_width, out_width, 3), ConvBN(out_width, out_width, 3, activate=False))
    return Residual(body, in_width, out_width)


def bottleneck_block(in_width: int, out_width: int) -> Residual:
    """1x1, 3x3 and 1x1 convolutions, the middle ones a quarter as wide (He et al., CVPR 2016)."""
    middle = max(out_width // 4, 1)
    body = nn.Sequential(ConvBN(in_width, middle), ConvBN(middle, middle, 3), ConvBN(middle, out_width, activate=False))
    return Residual(body, in_width, out_width)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of [B, C, H, W] to ``size``, corners not aligned; ``x`` itself if it has that size.

    Where a CPU has to differentiate it, it is two matrix products: ATen's gradient takes several times as long there.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if x.device.type == "cpu" and x.requires_grad and not torch.is_autocast_enabled("cpu"):
        rows, columns = (_bilinear(x, before, after) for before, after in zip(x.shape[-2:], size, strict=True))
        return rows @ (x @ columns.mT)
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def _bilinear(like: Tensor, before: int, after: int) -> Tensor:
    """[after, before]: what linear interpolation multiplies a row of ``before`` values by."""
    unit = torch.eye(before, dtype=like.dtype, device=like.device).unsqueeze(0)
    return F.interpolate(unit, size=after, mode="linear", align_corners=False)[0].mT


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """The first ``height`` rows and ``width`` columns of [B, C, H, W], which has at least as many."""
    if not isinstance(height, torch.SymInt) and not isinstance(width, torch.SymInt):
        return x[..., :height, :width]
    # Where export leaves a size free, a slice would have it prove that there are as many, which it cannot.
    rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
    return x.index_select(2, rows).index_select(3, columns)


def valid_mean(x: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of [B, C, H, W] over the pixels that are ``valid`` [B, 1, H, W]: [B, C, 1, 1]; 0 where there are none."""
    if valid is None:
        return x.mean(dim=(2, 3), keepdim=True)
    mask = valid.to(x.dtype)
    return (x * mask).sum(dim=(2, 3), keepdim=True) / mask.sum(dim=(2, 3), keepdim=True).clamp(min=1)


class Foldable(nn.Module):
    """A module that inference runs in a simpler form."""

    def fold(self) -> None:
        """Take the simpler form, for inference only; a second time changes nothing."""
        raise NotImplementedError


class Mergeable(nn.Module):
    """A module with linear layers in a row or side by side, which inference runs as one."""

    def merge(self) -> None:
        """Join them, once their BatchNorms are folded; a second time changes nothing."""
        raise NotImplementedError


class Portable(nn.Module):
    """A module with a second form of the same result, for graphs that another runtime executes.

    Attributes:
        plain: use that form: plain matrix products on contiguous maps, in place of PyTorch's fused attention on
            channels-last ones, which a graph would have to take apart and transpose.
    """

    plain = False


class PairConv(nn.Module):
    """A convolution of its own for each of many pairs, run as one; zero-padded, without bias.

    Parameters are stacked over pairs, so that the pairs that share an input cost one convolution, and a subset of
    pairs can be computed alone.

    Args:
        num_pairs: P.
        in_width: C, channels of each input.
        out_width: d, channels of each pair's output; C if ``depthwise``.
        kernel: odd side, in pixels.
        dilation: pixels between neighbouring taps.
        stride: of the output.
        depthwise: each channel is filtered alone.
    """

    def __init__(
        self,
        num_pairs: int,
        in_width: int,
        out_width: int,
        *,
        kernel: int = 1,
        dilation: int = 1,
        stride: int = 1,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.kernel, self.dilation, self.stride, self.depthwise = kernel, dilation, stride, depthwise
        self.weight = nn.Parameter(torch.empty(num_pairs * out_width, 1 if depthwise else in_width, kernel, kernel))
        for part in self.weight.data.split(1 if depthwise else out_width):
            nn.init.xavier_uniform_(part)

    def forward(self, x: Tensor, rows: tuple[int, ...], grouped: bool) -> Tensor:
        """Convolve.

        Args:
            x: [B, C, H, W] shared by ``rows``, or [B, n*C, H, W] with one input for each row if ``grouped``.
            rows: which pairs, n of them.
            grouped: see ``x``.

        Returns:
            [B, n*d, H/stride, W/stride], sizes rounded up.
        """
        return self.convolve(x, rows, grouped)

    def convolve(self, x: Tensor, rows: tuple[int, ...], grouped: bool) -> Tensor:
        """The convolution of ``forward``."""
        if self.depthwise and not grouped:
            x = torch.cat([x] * len(rows), dim=1)
        groups = len(rows) * self.out_width if self.depthwise else len(rows) if grouped else 1
        padding = self.kernel // 2 * self.dilation
        weight, bias = self._pick(self.weight, rows), self._bias(rows)
        return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, groups)

    def _bias(self, rows: tuple[int, ...]) -> Tensor | None:
        return None

    def _pick(self, stacked: Tensor, rows: tuple[int, ...]) -> Tensor:
        d = self.out_width
        if _adjacent(rows):
            return stacked[rows[0] * d : (rows[0] + len(rows)) * d]
        # Slices rather than an index tensor: an index would have to be copied to the device in every step.
        return torch.cat([stacked[row * d : (row + 1) * d] for row in rows])


class PairConvBN(PairConv, Foldable):
    """:class:`PairConv` and BatchNorm; statistics are per channel, hence those of one module per pair.

    Args:
        num_pairs: P.
        in_width: C, channels of each input.
        out_width: d, channels of each pair's output.
        affine: whether BatchNorm scales and shifts.
        shape: kernel, dilation, stride and depthwise of :class:`PairConv`.
    """

    def __init__(self, num_pairs: int, in_width: int, out_width: int, affine: bool = True, **shape: Any) -> None:
        super().__init__(num_pairs, in_width, out_width, **shape)
        self.scale = nn.Parameter(torch.ones(num_pairs * out_width)) if affine else None
        self.shift = nn.Parameter(torch.zeros(num_pairs * out_width)) if affine else None
        self.register_buffer("mean", torch.zeros(num_pairs * out_width))
        self.register_buffer("var", torch.ones(num_pairs * out_width))
        self.mean: Tensor
        self.var: Tensor
        self.eps, self.momentum = 1e-5, 0.1
        self.register_buffer("folded_bias", None)
        self.folded_bias: Tensor | None

    def forward(self, x: Tensor, rows: tuple[int, ...], grouped: bool) -> Tensor:
        """As :meth:`PairConv.forward`, normalised; before the activation."""
        return self.normalise(self.convolve(x, rows, grouped), rows)

    def normalise(self, y: Tensor, rows: tuple[int, ...]) -> Tensor:
        """The BatchNorm of ``forward``."""
        if self.folded_bias is not None:
            return y
        scale = None if self.scale is None else self._pick(self.scale, rows)
        shift = None if self.shift is None else self._pick(self.shift, rows)
        if not self.training:
            mean, var = self._pick(self.mean, rows), self._pick(self.var, rows)
            return F.batch_norm(y, mean, var, scale, shift, False, self.momentum, self.eps)
        # `.data`: autograd must not take the update of some pairs' statistics for a change of what others saved.
        mean, var = self._pick(self.mean.data, rows), self._pick(self.var.data, rows)
        y = F.batch_norm(y, mean, var, scale, shift, True, self.momentum, self.eps)
        self._put(self.mean.data, mean, rows)
        self._put(self.var.data, var, rows)
        return y

    def fold(self) -> None:
        """Fold BatchNorm into the convolution."""
        weight, self.folded_bias = self.folded()
        self.weight = nn.Parameter(weight)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the plain convolution that gives the same in evaluation mode."""
        if self.folded_bias is not None:
            return self.weight, self.folded_bias
        gain = torch.rsqrt(self.var + self.eps) * (1.0 if self.scale is None else self.scale)
        bias = (0.0 if self.shift is None else self.shift) - self.mean * gain
        return self.weight * gain[:, None, None, None], bias

    def _bias(self, rows: tuple[int, ...]) -> Tensor | None:
        return None if self.folded_bias is None else self._pick(self.folded_bias, rows)

    def _put(self, stacked: Tensor, picked: Tensor, rows: tuple[int, ...]) -> None:
        if _adjacent(rows):
            return  # picked is a view of stacked
        d = self.out_width
        for row, part in zip(rows, picked.split(d), strict=True):
            stacked[row * d : (row + 1) * d] = part


def _adjacent(rows: tuple[int, ...]) -> bool:
    return rows == tuple(range(rows[0], rows[0] + len(rows)))
