"""Chooses the colours of classes: `python -m analysis.palette > atrcnas/plots/palette.txt`."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from atrcnas.plots.palette import MAX_CLASSES

# A dark slate for class 0, so often the background or the wall, then Okabe and Ito's colours for all kinds of sight.
FIRST = ("#323a45", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
# Viénot, Brettel and Mollon 1999: what remains of linear RGB without red (protan) or green (deutan) cones.
SIGHTS = (
    np.eye(3),
    np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
)
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
COLOUR_BLIND_WEIGHT = 2.0


def choose() -> NDArray[np.uint8]:
    """Farthest-point order, [256, 3] uint8: each next colour is the one farthest from all before it."""
    first = np.array([to_rgb(colour) for colour in FIRST])
    axis = np.linspace(0.1, 1.0, 15)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    # Greys are left to missing ground truth, and near-white to the paper.
    grid = grid[(np.ptp(grid, axis=1) > 0.2) & (grid.min(axis=1) < 0.8)]
    candidates = np.concatenate([first, grid])
    seen = [lab(candidates, sight) for sight in SIGHTS]
    order = list(range(len(first)))
    nearest = np.min([distance(seen, index) for index in order], axis=0)
    while len(order) < MAX_CLASSES:
        order.append(int(np.round(nearest, 6).argmax()))
        nearest = np.minimum(nearest, distance(seen, order[-1]))
    return np.round(candidates[order] * 255).astype(np.uint8)


def distance(seen: list[NDArray[Any]], index: int) -> NDArray[Any]:
    """Distance of every candidate to one, for the sight that tells them apart worst."""
    normal, *blind = (np.linalg.norm(colours - colours[index], axis=1) for colours in seen)
    nearest: NDArray[Any] = np.min([normal, *(COLOUR_BLIND_WEIGHT * gap for gap in blind)], axis=0)
    return nearest


def lab(rgb: NDArray[Any], sight: NDArray[Any]) -> NDArray[Any]:
    """CIELAB (D65) of [N, 3] sRGB in [0, 1] as that ``sight`` has it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ sight.T, 0, 1) @ XYZ.T / np.array([0.95047, 1.0, 1.08883])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def main() -> None:
    for row in choose().reshape(-1, 16, 3):
        print(row.tobytes().hex(" ", 3))


if __name__ == "__main__":
    main()
