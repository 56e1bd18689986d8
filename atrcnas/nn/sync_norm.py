"""BatchNorm over the batches of all processes, for every BatchNorm of any library and on any device."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


class _SumOverProcesses(torch.autograd.Function):
    """Sum over all processes, of the gradient too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _sum(grad)


def _sum(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm``, in training mode by the statistics of all processes' batches, which are of equal size.

    Every BatchNorm module calls it, our own, timm's and a plugin's; torch's own ``nn.SyncBatchNorm`` would have
    to replace each of them and runs on a GPU only.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    world = dist.get_world_size()
    others = [i for i in range(x.ndim) if i != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean = _SumOverProcesses.apply(wide.mean(others)) / world
    centred = wide - mean.view(shape)
    variance = _SumOverProcesses.apply(centred.square().mean(others)) / world
    if running_mean is not None and running_var is not None:
        count = x.numel() // x.shape[1] * world
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * (count / (count - 1))).to(running_var), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype)
