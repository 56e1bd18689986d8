"""BatchNorm folded into the convolutions before it, as inference needs it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from atrcnas.ground.errors import ExportError
from atrcnas.nn.blocks import Foldable
from atrcnas.nn.named import Named
from atrcnas.nn.net import MultiTaskNet

# Their forward is F.batch_norm and nothing else; another subclass might do more.
_PLAIN = (nn.BatchNorm2d, nn.SyncBatchNorm)


def inference_copy(net: MultiTaskNet) -> MultiTaskNet:
    """Copy a fixed network in evaluation mode, without gradients and without the initial predictions only training needs.

    Raises:
        ExportError: the network is still searching.
    """
    if net.searching:
        raise ExportError(
            "expected a fixed network, got a supernet with several kinds per pair. "
            "Retrain its context config first: `atrcnas retrain EXPERIMENT --contexts FILE`."
        )
    inference = copy.deepcopy(net).eval().requires_grad_(False)
    inference.initial = Named()
    return inference


def fold_batch_norm(net: MultiTaskNet, size: tuple[int, int] = (64, 64)) -> MultiTaskNet:
    """Copy a fixed network for inference with every BatchNorm folded that directly follows a convolution.

    Whatever else is :class:`Foldable` takes its simpler form too.

    One forward pass shows which BatchNorm reads which convolution, so that any timm backbone will do. A
    convolution that something else reads too, or that runs several times, is left as it is.

    Args:
        net: any device and mode; unchanged.
        size: (height, width) of the image of that pass, for backbones that take one size only.

    Returns:
        The :func:`inference_copy`, whose predictions are those of ``net`` in evaluation mode up to rounding.

    Raises:
        ExportError: the network is still searching.
    """
    folded = inference_copy(net)
    fold_contexts(folded)
    weight = next(folded.parameters())
    with torch.no_grad(), _Watch() as watch:
        folded(torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device))
    convs = {id(module.weight): module for module in folded.modules() if isinstance(module, nn.Conv2d)}
    norms = {id(module.running_mean): name for name, module in folded.named_modules() if _replaceable(module)}
    for conv, mean in watch.foldable():
        if conv in convs and mean in norms:
            _fold_one(folded, convs[conv], norms[mean])
    return folded


@torch.no_grad()
def fold_contexts(net: nn.Module) -> None:
    """Give every :class:`Foldable` part of a copy made for inference its simpler form."""
    for part in list(net.modules()):
        if isinstance(part, Foldable):
            part.fold()
    net.requires_grad_(False)


def _replaceable(norm: nn.Module) -> bool:
    known = type(norm) in _PLAIN or isinstance(norm, BatchNormAct2d)
    return known and norm.running_mean is not None


def _fold_one(net: nn.Module, conv: nn.Conv2d, name: str) -> None:
    norm: Any = net.get_submodule(name)
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = weight.requires_grad_(False), bias.requires_grad_(False)
    rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
    net.set_submodule(name, nn.Sequential(*rest) if rest else nn.Identity())


class _Watch(TorchFunctionMode):
    """Notes, during a forward pass, which convolution each BatchNorm reads and how often each output is read."""

    def __init__(self) -> None:
        super().__init__()
        # Tensors are told apart by id, so those in question are kept alive.
        self._outputs: dict[int, tuple[Tensor, int]] = {}
        self._reads: Counter[int] = Counter()
        self._runs: Counter[int] = Counter()
        self._pairs: list[tuple[int, int]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and note what it reads."""
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            self._reads.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if id(leaf) in self._outputs)
        if func is F.conv2d:
            self._outputs[id(result)] = (result, id(args[1]))
            self._runs[id(args[1])] += 1
        elif func is F.batch_norm:
            self._runs[id(args[1])] += 1
            if id(args[0]) in self._outputs:
                self._pairs.append((id(args[0]), id(args[1])))
        return result

    def foldable(self) -> Iterable[tuple[int, int]]:
        """Ids of a convolution's weight and of the running mean of the BatchNorm that is its only reader."""
        for output, mean in self._pairs:
            weight = self._outputs[output][1]
            if self._reads[output] == self._runs[weight] == self._runs[mean] == 1:
                yield weight, mean
