"""BatchNorm statistics without training: of one config of a supernet, or of a network that has none yet."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from atrcnas.data.batch import Batch
from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet


@torch.no_grad()
def recalibrate(net: MultiTaskNet, mixture: Mixture, batches: Iterable[Batch]) -> None:
    """Give every BatchNorm after the task features the mean of its batch statistics under a mixture.

    What comes before sees the same features under every mixture and keeps its statistics. A BatchNorm that the mixture
    does not use is left as it is.

    Args:
        net: in evaluation mode, and so afterwards.
        mixture: on the device of ``net``.
        batches: training images; each batch counts alike.

    Source: Guo et al., ECCV 2020, section 3.4. Differs: only what depends on the config.
    """
    device = next(net.parameters()).device
    norms = [
        module
        for part in (net.refiners, net.heads)
        for module in part.modules()
        if isinstance(module, PairConvBN | _BatchNorm)
    ]
    momenta = [norm.momentum for norm in norms]
    try:
        for number, batch in enumerate(batches, 1):
            batch = batch.to(device)
            encoded = net.encode(batch.image, batch.image_valid)
            _set(norms, training=True, momenta=[1 / number] * len(norms))  # a running mean over the batches
            net.decode(encoded, mixture)
    finally:
        _set(norms, training=False, momenta=momenta)


def _set(norms: list[PairConvBN | _BatchNorm], training: bool, momenta: list[float | None]) -> None:
    for norm, momentum in zip(norms, momenta, strict=True):
        nn.Module.train(norm, training)
        norm.momentum = momentum


@torch.no_grad()
def give_statistics(net: MultiTaskNet, image: Tensor) -> MultiTaskNet:
    """Give every BatchNorm of an untrained fixed network the statistics of one batch; for timing.

    With those that a network starts with, the published starting values let activations shrink to denormal numbers,
    with which a CPU computes many times slower; no trained network has any.

    Args:
        net: changed.
        image: [B, 3, H, W] float RGB in [0, 1], on the device of ``net``.

    Returns:
        ``net``, in evaluation mode.
    """
    norms = [module for module in net.modules() if isinstance(module, PairConvBN | _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    net.train()
    _set(norms, training=True, momenta=[1.0] * len(norms))
    net(image)
    _set(norms, training=False, momenta=momenta)
    return net.eval()
