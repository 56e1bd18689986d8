"""Weights of the ATRC reference implementation, copied by name into our modules.

The published code names a tensor by its place in the network, and so does the table built here:

    backbone.*                                                HRNet's own names, which timm's models share
    head.bottleneck.TASK.{conv,bn}.*                          task features
    head.aux_conv.TASK.{conv,bn}.*, head.aux_logits.TASK.*    label branch
    head.atrc_module.cp_blocks.TARGET.SOURCE.*                contexts: {query,key}_project.{0,1}, value_project
    head.atrc_module.out_proj.TARGET.{conv,bn}.*              fuse
    head.atrc_module.bottleneck.TARGET.0.{conv,bn}.*          refine
    head.final_logits.TASK.*                                  prediction

Source: names as in the public code of Bruggemann et al., ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.contexts.base import Context
from atrcnas.nn.fuse import ConcatFuse
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import BASE_LEVEL

Names = dict[str, Tensor]  # the reference's name -> the tensor of ours it fills, or the part of one

_RELATIONS = "head.atrc_module."
_PROJECTIONS = {"query": "query_project", "key": "key_project", "value": "value_project"}
_FORM = {
    **{"neck": "concat", "task_features": "conv3", "deep_supervision": False, "fuse": "concat", "head": "conv1"},
    "branches": {},
}
# What a checkpoint holds besides weights: losses, metrics, and a count that BatchNorm with a fixed momentum never reads.
_BESIDES = ("criterion.", "metrics_dict.")
_COUNT = ".num_batches_tracked"


@torch.no_grad()
def load_network(net: MultiTaskNet, state: Mapping[str, Tensor]) -> None:
    """Fill a fixed network with the state of the reference's network for the same tasks and contexts.

    Args:
        net: changed in place; unchanged if an error is raised.
        state: reference state dict, in the order it was saved in: that order tells which columns of ``out_proj``
            belong to which source.

    Raises:
        CheckpointError: the reference has no such network, or a name is missing, unexpected or of another shape.
    """
    names = network_names(net)
    given = {key: value for key, value in state.items() if not key.startswith(_BESIDES) and not key.endswith(_COUNT)}
    _check(names, given, unexpected=[key for key in given if key not in names])
    for refiner in net.refiners.values():
        given |= _in_our_order(refiner, given)
    for key, ours in names.items():
        ours.copy_(given[key])


@torch.no_grad()
def load_refiner(refiner: ContextRefiner, state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill ``refiner``, fixed or searching, with the state of the reference's relation module below ``prefix``.

    Raises:
        CheckpointError: a name is missing or a shape differs; see also :func:`refiner_names`.
    """
    _fill(refiner_names(refiner, prefix), state)


@torch.no_grad()
def load_context(context: Context, row: int, state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill one pair of an attention kind with the state of the reference's context below ``prefix``.

    Raises:
        CheckpointError: a name is missing or a shape differs.
    """
    _fill(_context_names(context, row, prefix), state)


def network_names(net: MultiTaskNet) -> Names:
    """The reference's name for every weight and running statistic of ``net``.

    Raises:
        CheckpointError: the reference has no such network.
    """
    _check_form(net)
    level = str(BASE_LEVEL)
    names = _plain_names(net.backbone.body.state_dict(), "backbone.")
    for task, stem in net.stems[level].items():
        names |= _conv_bn_names(stem, f"head.bottleneck.{task}.")
    for task, branch in net.labels[level].items() if level in net.labels else ():
        hidden, logits = branch.children()
        names |= _conv_bn_names(hidden, f"head.aux_conv.{task}.")
        names |= _plain_names(logits.state_dict(), f"head.aux_logits.{task}.")
    if level in net.refiners:
        names |= refiner_names(net.refiners[level], _RELATIONS)
    for task, head in net.heads.items():
        names |= _plain_names(head.body[-1].state_dict(), f"head.final_logits.{task}.")
    return names


def refiner_names(refiner: ContextRefiner, prefix: str = "") -> Names:
    """The reference's name for every weight and running statistic of ``refiner``, at level 4 with ``fuse="concat"``.

    Raises:
        CheckpointError: a kind or a fuse the reference does not have.
    """
    names: Names = {}
    for name, context in refiner.contexts.items():
        kind = KINDS[name.removesuffix("_")]
        if kind.reference_code is None:
            raise CheckpointError(
                f"reference weights: '{context.pairs[0]}' is '{kind.name}', which the reference does not have. "
                "Use a context config without it."
            )
        operation = f"op_list.{kind.reference_code - 1}." if refiner.searching else ""
        for row, pair in enumerate(context.pairs):
            names |= _context_names(context, row, f"{prefix}cp_blocks.{pair.target}.{pair.source}.{operation}")
    # In the fixed network dropout follows the last convolution; the supernet has none.
    place = "" if refiner.searching else "0."
    for target, fuse in refiner.fuse.items():
        if not isinstance(fuse, ConcatFuse):
            raise CheckpointError(
                "reference weights: expected fuse 'concat', got 'sum', which the reference does not have. Build the refiner "
                "with fuse='concat'."
            )
        if fuse.project is not None:
            names |= _conv_bn_names(fuse.project, f"{prefix}out_proj.{target}.")
        if fuse.refine is not None:
            names |= _conv_bn_names(fuse.refine[0], f"{prefix}bottleneck.{target}.{place}")
    return names


def _context_names(context: Context, row: int, prefix: str) -> Names:
    names: Names = {}
    for ours, theirs in _PROJECTIONS.items():
        projection = getattr(context, ours)
        if projection.second is None:
            names |= _row_names(projection.first, row, f"{prefix}{theirs}.")
        else:
            names |= _row_names(projection.first, row, f"{prefix}{theirs}.0.")
            names |= _row_names(projection.second, row, f"{prefix}{theirs}.1.")
    return names


def _row_names(stacked: PairConvBN, row: int, prefix: str) -> Names:
    part = slice(row * stacked.out_width, (row + 1) * stacked.out_width)
    parts = {"conv.weight": stacked.weight, "bn.running_mean": stacked.mean, "bn.running_var": stacked.var}
    if stacked.scale is not None and stacked.shift is not None:
        parts |= {"bn.weight": stacked.scale, "bn.bias": stacked.shift}
    return {prefix + key: ours.detach()[part] for key, ours in parts.items()}


def _conv_bn_names(block: nn.Module, prefix: str) -> Names:
    conv, norm = list(block.children())[:2]  # of a ConvBN
    return _plain_names(conv.state_dict(), f"{prefix}conv.") | _plain_names(norm.state_dict(), f"{prefix}bn.")


def _plain_names(own: Mapping[str, Tensor], prefix: str) -> Names:
    return {prefix + key: value for key, value in own.items() if not key.endswith(_COUNT.removeprefix("."))}


def _in_our_order(refiner: ContextRefiner, state: Mapping[str, Tensor]) -> Names:
    """The ``out_proj`` convolutions with their columns, d for each source, in the order of our pairs."""
    moved: Names = {}
    for target, fuse in refiner.fuse.items():
        if isinstance(fuse, ConcatFuse) and fuse.project is not None:
            above = f"{_RELATIONS}cp_blocks.{target}."
            below = (key.removeprefix(above) for key in state if key.startswith(above))
            theirs = list(dict.fromkeys(key.partition(".")[0] for key in below))
            key = f"{_RELATIONS}out_proj.{target}.conv.weight"
            columns = state[key].split(refiner.hidden, dim=1)
            moved[key] = torch.cat([columns[theirs.index(pair.source)] for pair in fuse.pairs], dim=1)
    return moved


def _fill(names: Names, state: Mapping[str, Tensor]) -> None:
    _check(names, state)
    for key, ours in names.items():
        ours.copy_(state[key])


def _check_form(net: MultiTaskNet) -> None:
    differing = [
        f"{key}: {getattr(net.model, key)}" for key, value in _FORM.items() if getattr(net.model, key) != value
    ]
    if differing:
        raise CheckpointError(
            f"reference weights: the reference has no network with model settings {', '.join(differing)}. "
            f"Expected {', '.join(f'{key}: {value}' for key, value in _FORM.items())}."
        )


def _check(names: Names, state: Mapping[str, Tensor], unexpected: Iterable[str] = ()) -> None:
    shapes = {key: (tuple(ours.shape), tuple(state[key].shape)) for key, ours in names.items() if key in state}
    faults = {
        "missing": [key for key in names if key not in state],
        "unexpected": list(unexpected),
        "of another shape": [
            f"{key} (expected {ours}, got {got})" for key, (ours, got) in shapes.items() if ours != got
        ],
    }
    found = [f"{len(keys)} {fault} ({_some(keys)})" for fault, keys in faults.items() if keys]
    if found:
        raise CheckpointError(
            f"reference weights: of {len(names)} expected names {'; '.join(found)}. "
            "Use the tasks, the context config and the backbone that the file was trained with."
        )


def _some(keys: list[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (", ..." if len(keys) > most else "")
