"""Reading weights under the ATRC reference implementation's names into our stacked modules."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.blocks import ConvBN, PairConvBN
from atrcnas.nn.contexts.base import Context
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import KINDS

_PROJECTIONS = {"query": "query_project", "key": "key_project", "value": "value_project"}


@torch.no_grad()
def load_refiner(refiner: ContextRefiner, state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill ``refiner`` with a reference relation module's state.

    Args:
        refiner: fixed or searching, at level 4, with ``fuse="concat"``.
        state: reference state dict: ``cp_blocks.TARGET.SOURCE[.op_list.I].query_project.0.conv.weight``,
            ``out_proj.TARGET.conv.weight``, ``bottleneck.TARGET[.0].conv.weight``, and BatchNorm's ``bn.*``.
        prefix: of these keys.

    Raises:
        CheckpointError: a key is missing or a shape differs.
    """
    for name, context in refiner.contexts.items():
        kind = name.removesuffix("_")
        for row, pair in enumerate(context.pairs):
            block = f"{prefix}cp_blocks.{pair.target}.{pair.source}."
            if refiner.searching:
                block += f"op_list.{(KINDS[kind].reference_code or 0) - 1}."
            load_context(context, row, state, block)
    for target, fuse in refiner.fuse.items():
        if fuse.project is not None:
            _load_conv_bn(fuse.project, state, f"{prefix}out_proj.{target}.")
        inner = "" if f"{prefix}bottleneck.{target}.conv.weight" in state else "0."
        _load_conv_bn(fuse.refine[0], state, f"{prefix}bottleneck.{target}.{inner}")


@torch.no_grad()
def load_context(context: Context, row: int, state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill one pair of an attention kind from ``PREFIXquery_project.0.conv.weight`` and so on.

    Raises:
        CheckpointError: a key is missing or a shape differs.
    """
    for ours, theirs in _PROJECTIONS.items():
        projection = getattr(context, ours)
        if projection.second is None:
            _load_row(projection.first, row, state, f"{prefix}{theirs}.")
        else:
            _load_row(projection.first, row, state, f"{prefix}{theirs}.0.")
            _load_row(projection.second, row, state, f"{prefix}{theirs}.1.")


def _load_row(stacked: PairConvBN, row: int, state: Mapping[str, Tensor], prefix: str) -> None:
    part = slice(row * stacked.out_width, (row + 1) * stacked.out_width)
    parts = {"conv.weight": stacked.weight, "bn.running_mean": stacked.mean, "bn.running_var": stacked.var}
    if stacked.scale is not None and stacked.shift is not None:
        parts |= {"bn.weight": stacked.scale, "bn.bias": stacked.shift}
    for key, ours in parts.items():
        _copy(ours[part], state, prefix + key)


def _load_conv_bn(block: ConvBN, state: Mapping[str, Tensor], prefix: str) -> None:
    norm = block.norm
    parts = {"conv.weight": block[0].weight, "bn.weight": norm.weight, "bn.bias": norm.bias}
    for key, ours in {**parts, "bn.running_mean": norm.running_mean, "bn.running_var": norm.running_var}.items():
        _copy(ours, state, prefix + key)


def _copy(ours: Tensor, state: Mapping[str, Tensor], key: str) -> None:
    if key not in state:
        raise CheckpointError(f"reference weights: '{key}' is missing. Is the file of the same context config?")
    if ours.shape != state[key].shape:
        raise CheckpointError(
            f"reference weights: '{key}': expected {tuple(ours.shape)}, got {tuple(state[key].shape)}."
        )
    ours.copy_(state[key])
