"""The published names of our MTI-Net's and PAD-Net's tensors, as the public code of Vandenhende et al. has them."""

from __future__ import annotations

from torch import Tensor, nn

from atrcnas.nn.blocks import ConvBN, Residual
from atrcnas.nn.net import MultiTaskNet

Names = dict[str, Tensor]  # published name -> our tensor


def names(net: MultiTaskNet) -> Names:
    """Every weight and running statistic of ``net``.

    A published convolution that has both a bias and a BatchNorm behind it is one of ours without bias: the bias stands
    beside the BatchNorm's mean, from which it has to be taken (``NAME.bias`` -> that mean).
    """
    distilled = _mti_net(net) if len(net.levels) > 1 else _pad_net(net)
    return {f"net.{name}": tensor for name, tensor in distilled.items()}


def _mti_net(net: MultiTaskNet) -> Names:
    found = _plain(net.backbone.body, "backbone")
    for scale, level in enumerate(net.levels):
        for task, stem in net.stems[str(level)].items():
            found |= _blocks(stem, f"scale_{scale}.refinement.{task}")
            found |= _plain(net.initial[str(level)][task], f"scale_{scale}.decoders.{task}")
        found |= _distillation(net, level, f"distillation_scale_{scale}")
        if str(level) in net.propagate:
            part, at = net.propagate[str(level)], f"fpm_scale_{scale}"
            found |= _blocks(part.mask[:2], f"{at}.non_linear") | _plain(part.mask[2], f"{at}.non_linear.2")
            found |= _block(part.reduce, f"{at}.dimensionality_reduction")
            for task, excite in part.excite.items():
                found |= _plain(excite.gate, f"{at}.se.{task}.squeeze")
    for task, head in net.heads.items():
        found |= _biased(head.body[0], f"heads.{task}.last_layer") | _plain(head.body[1], f"heads.{task}.last_layer.3")
    return found


def _pad_net(net: MultiTaskNet) -> Names:
    found = _plain(net.backbone.body, "backbone.0") | _biased(net.neck_conv, "backbone.1.last_layer")
    for task, stem in net.stems["4"].items():
        found |= _blocks(stem, f"initial_task_prediction_heads.layers.{task}")
        found |= _plain(net.initial["4"][task], f"initial_task_prediction_heads.conv_out.{task}")
    found |= _distillation(net, 4, "multi_modal_distillation")
    for task, head in net.heads.items():
        found |= _blocks(head.body[:2], f"heads.{task}") | _plain(head.body[2], f"heads.{task}.2")
    return found


def _distillation(net: MultiTaskNet, level: int, prefix: str) -> Names:
    context = net.refiners[str(level)].contexts["mti_"]
    found: Names = {}
    for row, pair in enumerate(context.pairs):
        at = f"{prefix}.self_attention.{pair.target}.{pair.source}"
        found |= {f"{at}.attention.0.weight": context.weight[row, 0], f"{at}.conv.weight": context.weight[row, 1]}
    return found


def _blocks(blocks: nn.Sequential, prefix: str) -> Names:
    return {name: x for i, one in enumerate(blocks) for name, x in _block(one, f"{prefix}.{i}").items()}


def _block(block: Residual, prefix: str) -> Names:
    found: Names = {}
    for i, part in enumerate(block.body, 1):
        found |= _conv_bn(part, f"{prefix}.conv{i}", f"{prefix}.bn{i}")
    if isinstance(block.shortcut, ConvBN):
        found |= _conv_bn(block.shortcut, f"{prefix}.downsample.0", f"{prefix}.downsample.1")
    return found


def _biased(block: ConvBN, prefix: str) -> Names:
    return _conv_bn(block, f"{prefix}.0", f"{prefix}.1") | {f"{prefix}.0.bias": block.norm.running_mean}


def _conv_bn(block: ConvBN, conv: str, norm: str) -> Names:
    return _plain(block[0], conv) | _plain(block.norm, norm)


def _plain(module: nn.Module, prefix: str) -> Names:
    state = module.state_dict(keep_vars=True).items()
    return {f"{prefix}.{name}": value for name, value in state if value.is_floating_point()}
