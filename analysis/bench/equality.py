"""Nothing is timed before both structures are shown to compute the same."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from analysis.bench.heads import GivenFeatures, in_reference_structure
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
NUM_IMAGES = 2
Maps = dict[str, Tensor]


def check_refiners(net: MultiTaskNet, x: Tensor, mixture: Mixture | None) -> dict[str, Any]:
    """Compare every output of the heads, ours and in the reference structure.

    float64 must agree in training, with batch statistics, and float32 in evaluation. In training float32 is reported,
    not judged: neither structure is within 1e-5 of float64 there. Region vectors of an untrained label map differ by
    some 2 % of their mean, and the BatchNorm over them, and then over the pooled maps, magnifies the last digit.

    Args:
        net: in training; unchanged.
        x: [B, C_in, h, w]; the first two images are used.
        mixture: for a supernet.

    Returns:
        Largest differences, relative to 1 + |value|.

    Raises:
        AssertionError: more than ``TOLERANCE`` of a dtype.
    """
    images = x.detach()[:NUM_IMAGES]
    exact = outputs(net, images, mixture, torch.float64, training=True)
    rounded = outputs(net, images, mixture, torch.float32, training=True)
    fixed = outputs(net, images, mixture, torch.float32, training=False)
    judged = {
        "float64_training": require(*exact, TOLERANCE[torch.float64]),
        "float32_evaluation": require(*fixed, TOLERANCE[torch.float32]),
    }
    reported = {
        "float32_training": largest_difference(*rounded),
        "float32_training_ours_from_float64": largest_difference(rounded[0], exact[1]),
        "float32_training_reference_from_float64": largest_difference(rounded[1], exact[1]),
    }
    return judged | reported


def outputs(
    net: MultiTaskNet, x: Tensor, mixture: Mixture | None, dtype: torch.dtype, training: bool
) -> tuple[Maps, Maps]:
    """All maps of our heads and of those in the reference structure, under the same dropout."""
    twin = copy.deepcopy(net).to(dtype).train(training)
    if mixture is not None:
        mixture = Mixture(mixture.pairs, mixture.kinds, mixture.weights.detach().to(dtype), mixture.active)
    found = []
    for heads in (GivenFeatures(twin), in_reference_structure(twin)):
        torch.manual_seed(5)  # both draw dropout target by target
        with torch.set_grad_enabled(training):  # training steps have ways of their own
            groups = heads(x.to(dtype), mixture)
        found.append({f"{group}.{task}": y for group, maps in groups.items() for task, y in maps.items()})
    return found[0], found[1]


def require(ours: Maps, other: Maps, tolerance: float) -> float:
    """The largest difference.

    Raises:
        AssertionError: it is beyond ``tolerance``.
    """
    worst = largest_difference(ours, other)
    if not worst <= tolerance:
        raise AssertionError(f"expected equal outputs, got a difference of {worst:.1e} (at most {tolerance:g}).")
    return worst


def largest_difference(ours: Maps, other: Maps) -> float:
    """Over all maps, relative to 1 + |value|."""
    relative = ((y - other[name]).detach().abs() / (1 + other[name].detach().abs()) for name, y in ours.items())
    return max(float(difference.max()) for difference in relative)
