"""What the context of each pair costs: the difference that leaving it out makes to the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor, nn

from atrcnas.engine.costs import counted
from atrcnas.nn.fold import fold_contexts, inference_copy
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner, label_tasks
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair


class PairCost(TypedDict):
    """What a network would save without the context of one pair.

    Attributes:
        parameters: number of them.
        multiply_adds: for one image.
    """

    parameters: int
    multiply_adds: int


def pair_costs(net: MultiTaskNet, size: tuple[int, int]) -> dict[Pair, PairCost]:
    """The cost of each pair's context; of pairs that share a label branch, none alone has its cost.

    Args:
        net: fixed; unchanged.
        size: (height, width) of the image, pixels.

    Raises:
        ExportError: the network is still searching.
    """
    shapes = inference_copy(net).to("meta")
    found: dict[Pair, PairCost] = {}
    with torch.no_grad():
        encoded = shapes.encode(torch.empty(1, 3, *size, device="meta", dtype=next(shapes.parameters()).dtype))
        for level, features in encoded.features.items():
            if str(level) not in shapes.refiners:
                continue
            labels = {name: logits for (name, at), logits in encoded.labels.items() if at == level}
            refiner, branches = shapes.refiners[str(level)], shapes.labels[str(level)]
            kinds = {pair: kind for pair, (kind,) in refiner.candidates.items()}
            whole = _cost(net, kinds, refiner.width, features, labels)
            for pair, kind in kinds.items():
                rest = {**kinds, pair: NONE}
                left = whole if kind == NONE else _cost(net, rest, refiner.width, features, labels)
                unused = set(label_tasks(_pools(kinds))) - set(label_tasks(_pools(rest)))
                saved = [_branch_cost(branches[name], labels[name]) for name in unused]
                found[pair] = PairCost(
                    parameters=whole["parameters"] - left["parameters"] + sum(one["parameters"] for one in saved),
                    multiply_adds=whole["multiply_adds"]
                    - left["multiply_adds"]
                    + sum(one["multiply_adds"] for one in saved),
                )
    return found


def _pools(kinds: Mapping[Pair, str]) -> dict[Pair, tuple[str, ...]]:
    return {pair: (kind,) for pair, kind in kinds.items()}


def _cost(
    net: MultiTaskNet,
    kinds: Mapping[Pair, str],
    width: int,
    features: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
) -> PairCost:
    """Of all pairs of one level, with these kinds."""
    with torch.device("meta"):
        model = net.model
        refiner = ContextRefiner(_pools(kinds), width, hidden=model.hidden, fuse=model.fuse, refine=model.refine).eval()
    parameters = sum(parameter.numel() for parameter in refiner.parameters())
    fold_contexts(refiner)
    refiner.to(next(iter(features.values())).dtype)
    return PairCost(parameters=parameters, multiply_adds=counted(lambda: refiner(features, labels)))


def _branch_cost(branch: nn.Module, logits: Tensor) -> PairCost:
    """Of a label branch, which reads features of the size of its logits."""
    weight = next(branch.parameters())
    features = logits.new_empty(1, weight.shape[1], *logits.shape[-2:])
    parameters = sum(parameter.numel() for parameter in branch.parameters())
    return PairCost(parameters=parameters, multiply_adds=counted(lambda: branch(features)))
