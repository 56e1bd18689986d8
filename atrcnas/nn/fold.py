"""BatchNorm folded into the convolutions before it, as inference needs it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from atrcnas.ground.errors import ExportError
from atrcnas.nn.blocks import ConvBN, Foldable, Mergeable, Portable
from atrcnas.nn.named import Named
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner

NetT = TypeVar("NetT", bound=nn.Module)

# Their forward is F.batch_norm and nothing else; another subclass might do more.
_PLAIN = (nn.BatchNorm2d, nn.SyncBatchNorm)


def inference_copy(net: NetT) -> NetT:
    """Copy a network with fixed contexts in evaluation mode, without gradients.

    A :class:`MultiTaskNet` also loses the initial predictions that only training needs.

    Raises:
        ExportError: the network is still searching.
    """
    if any(part.searching for part in net.modules() if isinstance(part, ContextRefiner)):
        raise ExportError(
            "expected a fixed network, got a supernet with several kinds per pair. "
            "Retrain its context config first (`atrcnas retrain EXPERIMENT --contexts FILE`), or put a ContextRefiner "
            "with one kind per pair in its place."
        )
    inference = copy.deepcopy(net).eval().requires_grad_(False)
    if isinstance(inference, MultiTaskNet):
        inference.initial = Named()
    return inference


def fold_batch_norm(
    net: NetT, size: tuple[int, int] = (64, 64), *, inputs: Sequence[Any] | None = None, plain: bool = False
) -> NetT:
    """Copy a network for inference with every BatchNorm folded that directly follows a convolution.

    Whatever else is :class:`Foldable` or :class:`Mergeable` takes its simpler form too.

    One forward pass shows which BatchNorm reads which convolution, so that any timm backbone and any network of your
    own will do. A convolution that something else reads too, or that runs several times, is left as it is.

    Args:
        net: any device and mode; unchanged. A :class:`MultiTaskNet`, or a module that holds fixed refiners.
        size: (height, width) of the image of that pass in a :class:`MultiTaskNet`, for backbones that take one size only.
        inputs: what the forward pass of another module takes, on its device. If None there is no pass, and only what
            belongs to its refiners is folded.
        plain: whatever is :class:`Portable` takes its form for other runtimes than PyTorch.

    Returns:
        The :func:`inference_copy`, whose output is that of ``net`` in evaluation mode up to rounding.

    Raises:
        ExportError: the network is still searching.
    """
    folded = inference_copy(net)
    fold_contexts(folded)
    if inputs is None and isinstance(folded, MultiTaskNet):
        weight = next(folded.parameters())
        inputs = (torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device),)
    pairs = _own_blocks(folded) if inputs is None else _watched(folded, inputs)
    for conv, norm in list(pairs):
        _fold_one(folded, conv, norm)
    _simplify(folded, plain)
    return folded


@torch.no_grad()
def _simplify(net: nn.Module, plain: bool) -> None:
    for part in net.modules():
        if isinstance(part, Mergeable):
            part.merge()
        if isinstance(part, Portable):
            part.plain = plain


@torch.no_grad()
def fold_contexts(net: nn.Module) -> None:
    """Give every :class:`Foldable` part of a copy made for inference its simpler form."""
    for part in list(net.modules()):
        if isinstance(part, Foldable):
            part.fold()
    net.requires_grad_(False)


def _own_blocks(net: nn.Module) -> Iterable[tuple[nn.Conv2d, str]]:
    """Convolution and name of the BatchNorm of each block of the refiners."""
    for name, refiner in net.named_modules():
        for inner, block in refiner.named_modules() if isinstance(refiner, ContextRefiner) else ():
            if isinstance(block, ConvBN) and _replaceable(block[1]):
                yield block.conv, ".".join(filter(None, (name, inner, "1")))


def _watched(net: nn.Module, inputs: Sequence[Any]) -> Iterable[tuple[nn.Conv2d, str]]:
    """Convolution and name of the only BatchNorm that reads it, in a forward pass."""
    with torch.no_grad(), _Watch() as watch:
        net(*inputs)
    convs = {id(module.weight): module for module in net.modules() if isinstance(module, nn.Conv2d)}
    norms = {id(module.running_mean): name for name, module in net.named_modules() if _replaceable(module)}
    for conv, mean in watch.foldable():
        if conv in convs and mean in norms:
            yield convs[conv], norms[mean]


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
