"""Starting a fixed network from the weights of the supernet it was chosen in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.encoder_tree import shared_names
from atrcnas.nn.net import MultiTaskNet


@torch.no_grad()
def inherit(net: MultiTaskNet, state: Mapping[str, Tensor], supernet: MultiTaskNet) -> None:
    """Copy what the two networks share: equal tensors, the rows of the chosen pairs, the fuse's columns of them.

    Where tasks part that are together in the supernet, each branch gets a copy.

    Args:
        net: fixed; changed in place.
        state: state dict of ``supernet``.
        supernet: the searching network, for the order of its pairs.

    Raises:
        CheckpointError: ``state`` is not of ``supernet``, or a chosen kind is not one of its candidates.
    """
    try:
        supernet.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CheckpointError(
            f"the supernet's weights do not fit this search space: {str(error).splitlines()[0]}"
        ) from error
    shared = supernet.state_dict()
    own = net.state_dict()
    groups = {key.partition(".branches.")[2].partition(".")[0] for key in shared if ".branches." in key}
    for key, value in own.items():
        for source in shared_names(key, shared, groups):
            if shared[source].shape == value.shape and not key.startswith("refiners."):
                value.copy_(shared[source])
    for level, refiner in net.refiners.items():
        if level not in supernet.refiners:
            raise CheckpointError(
                f"the supernet does not hold contexts at level {level}. Choose from its search space."
            )
        refiner.inherit(supernet.refiners[level])
