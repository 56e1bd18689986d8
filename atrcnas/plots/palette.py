"""One colour per class, the same in every picture and for every number of classes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

MAX_CLASSES = 256
# A dark slate for class 0, so often the background or the wall, then Okabe and Ito's colours for all kinds of sight.
_FIRST = ("#323a45", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
# Viénot, Brettel and Mollon 1999: what remains of linear RGB without red (protan) or green (deutan) cones.
_SIGHTS = (
    np.eye(3),
    np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_COLOUR_BLIND_WEIGHT = 2.0


def palette(num_classes: int) -> NDArray[np.uint8]:
    """Colours that stay apart for normal and for red-green-blind sight.

    A longer palette begins with the shorter ones, so a class keeps its colour whatever the data set's size.

    Args:
        num_classes: K in [1, 256].

    Returns:
        [K, 3] uint8 RGB.

    Raises:
        ValueError: K out of range.
    """
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"palette: expected 1 to {MAX_CLASSES} classes, got {num_classes}.")
    return _table()[:num_classes].copy()


@cache
def _table() -> NDArray[np.uint8]:
    """Farthest-point order: each next colour is the one farthest from all before it."""
    first = np.array([to_rgb(colour) for colour in _FIRST])
    axis = np.linspace(0.1, 1.0, 15)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    # Greys are left to missing ground truth, and near-white to the paper.
    grid = grid[(np.ptp(grid, axis=1) > 0.2) & (grid.min(axis=1) < 0.8)]
    candidates = np.concatenate([first, grid])
    seen = [_lab(candidates, sight) for sight in _SIGHTS]
    order = list(range(len(first)))
    nearest = np.min([_distance(seen, index) for index in order], axis=0)
    while len(order) < MAX_CLASSES:
        order.append(int(np.round(nearest, 6).argmax()))
        nearest = np.minimum(nearest, _distance(seen, order[-1]))
    return np.round(candidates[order] * 255).astype(np.uint8)


def _distance(seen: list[NDArray[Any]], index: int) -> NDArray[Any]:
    """Distance of every candidate to one, for the sight that tells them apart worst."""
    normal, *blind = (np.linalg.norm(lab - lab[index], axis=1) for lab in seen)
    nearest: NDArray[Any] = np.min([normal, *(_COLOUR_BLIND_WEIGHT * distance for distance in blind)], axis=0)
    return nearest


def _lab(rgb: NDArray[Any], sight: NDArray[Any]) -> NDArray[Any]:
    """CIELAB (D65) of [N, 3] sRGB in [0, 1] as that ``sight`` has it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ sight.T, 0, 1) @ _XYZ.T / np.array([0.95047, 1.0, 1.08883])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)
