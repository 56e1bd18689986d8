"""Whether two networks compute the same, up to rounding."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from atrcnas.deploy.loading import RawOutputs
from atrcnas.ground.errors import ExportError
from atrcnas.nn.net import MultiTaskNet


def predict(net: MultiTaskNet, image: Tensor) -> RawOutputs:
    """Raw outputs of a fixed network for [B, 3, H, W] float RGB in [0, 1].

    Raises:
        ExportError: the network cannot take images of this size.
    """
    try:
        with torch.no_grad():
            predictions: RawOutputs = net(image).predictions
    except (RuntimeError, ValueError, AssertionError) as error:
        height, width = image.shape[-2:]
        raise ExportError(
            f"size: the network itself cannot take images of {height} x {width} ({error}). Choose another size."
        ) from error
    return predictions


def compare(expected: list[RawOutputs], got: list[RawOutputs]) -> dict[str, float]:
    """Task -> largest absolute difference over the range of the expected output; infinite for NaN or another shape."""
    return {
        task: max(_difference(wanted[task], given[task]) for wanted, given in zip(expected, got, strict=True))
        for task in expected[0]
    }


def _difference(expected: Tensor, got: Tensor) -> float:
    if expected.shape != got.shape:
        return math.inf
    span = (expected.max() - expected.min()).clamp(min=1e-12)
    difference = float((expected - got).abs().max() / span)
    return math.inf if math.isnan(difference) else difference


def measure_rounding(live: MultiTaskNet, images: list[Tensor], expected: list[RawOutputs]) -> dict[str, float]:
    """Task -> how far the network's own float32 outputs ``expected`` are from those in double precision."""
    double = copy.deepcopy(live).double()
    return compare([predict(double, image.double()) for image in images], expected)


def require_close(differences: Mapping[str, float], rounding: Mapping[str, float], tolerance: float, out: Path) -> None:
    """Refuse differences above ``tolerance``; say how far rounding alone moves the live network, where that was measured.

    Raises:
        ExportError: naming the tasks.
    """
    apart = []
    for task, value in differences.items():
        if value > tolerance or not math.isfinite(value):
            alone = f", rounding alone changes it by {rounding[task]:.1e}" if task in rounding else ""
            apart.append(f"{task} by {value:.1e} (at most {tolerance:.1e}{alone})")
    if apart:
        raise ExportError(
            f"{out}: not written, its predictions differ from the network's, relative to their range: {', '.join(apart)}. "
            "Try the other format, or another backbone."
        )
