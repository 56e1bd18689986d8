"""Starting a fixed network from the weights of the supernet it was chosen in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import parts


@torch.no_grad()
def inherit(net: MultiTaskNet, state: Mapping[str, Tensor], supernet: MultiTaskNet) -> None:
    """Copy what the two networks share: equal tensors, the rows of the chosen pairs, the fuse's columns of them.

    Args:
        net: fixed; changed in place.
        state: state dict of ``supernet``.
        supernet: the searching network, for the order of its pairs.

    Raises:
        CheckpointError: ``state`` is not of ``supernet``, or a chosen kind is not one of its candidates.
    """
    for pair, kinds in net.candidates.items():
        foreign = {part for kind in kinds for part in parts(kind)} - set(supernet.candidates.get(pair, ()))
        if foreign:
            raise CheckpointError(
                f"'{pair}' is '{foreign.pop()}', which the supernet does not hold (it has "
                f"{', '.join(supernet.candidates.get(pair, ())) or 'no such pair'}). "
                "Choose from its search space, or set retrain.inherit: false."
            )
    try:
        supernet.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CheckpointError(
            f"the supernet's weights do not fit this search space: {str(error).splitlines()[0]}"
        ) from error
    shared = supernet.state_dict()
    own = net.state_dict()
    for key, value in own.items():
        if key in shared and shared[key].shape == value.shape and not key.startswith("refiners."):
            value.copy_(shared[key])
    for level, refiner in net.refiners.items():
        source = supernet.refiners[level]
        _inherit_contexts(refiner, source)
        _inherit_fuse(refiner, source)


def _inherit_contexts(refiner: ContextRefiner, source: ContextRefiner) -> None:
    for name, context in refiner.contexts.items():
        giver = source.contexts[name]
        rows = [giver.pairs.index(pair) for pair in context.pairs]
        given = giver.state_dict()
        for key, value in context.state_dict().items():
            if key in given:  # the affine parameters of the value are new: the supernet has none
                per_pair = len(given[key]) // len(giver.pairs)
                value.copy_(torch.cat([given[key][row * per_pair : (row + 1) * per_pair] for row in rows]))


def _inherit_fuse(refiner: ContextRefiner, source: ContextRefiner) -> None:
    for target, fuse in refiner.fuse.items():
        giver = source.fuse[target]
        given = giver.state_dict()
        for key, value in fuse.state_dict().items():
            if key in given and given[key].shape == value.shape:
                value.copy_(given[key])
            elif key == "project.0.weight":
                d = refiner.hidden
                columns = [giver.pairs.index(pair) for pair in fuse.pairs]
                value.copy_(torch.cat([given[key][:, column * d : (column + 1) * d] for column in columns], dim=1))
