"""Soft shadows: rays to jittered points of each light, on a coarser grid, smoothed within surfaces."""

import numpy as np

from atrcnas.data.rooms.intersect import enter
from atrcnas.data.rooms.lights import Light
from atrcnas.data.rooms.primitives import Primitives
from atrcnas.data.rooms.raycast import Surface

STRIDE = 2
_LIFT_M = 0.015
# Handles and the like: their shadows are thinner than a pixel.
_SMALLEST_M = 0.09


def _candidates(
    primitives: Primitives, rows: np.ndarray, point: np.ndarray, ray: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a solid and a ray that comes near it, by bounding spheres.

    Returns:
        [M] int64, the number of rays for each of ``rows``; and the rays' indices, solid by solid.
    """
    num_rays = point.shape[1]
    length = np.sqrt((ray * ray).sum(axis=0))
    direction = ray / length
    centre = primitives.centre[rows]
    squared_reach = (primitives.extent[rows] ** 2).sum(axis=(1, 2))
    # Two products of matrices give, for all pairs, how far along the ray the centre lies and the squared distance from
    # the ray's start to the sphere; every further pass over the pairs costs as much as both.
    ones = np.ones((1, num_rays), dtype=np.float32)
    along = np.column_stack([centre, np.ones_like(squared_reach)]) @ np.vstack(
        [direction, -(point * direction).sum(axis=0)]
    )
    outside = np.column_stack(
        [-2 * centre, np.ones_like(squared_reach), (centre * centre).sum(axis=1) - squared_reach]
    ) @ np.vstack([point, (point * point).sum(axis=0), ones])
    near = outside < along * along
    near &= along > -np.sqrt(squared_reach)[:, None]
    near &= along < length + np.sqrt(squared_reach)[:, None]
    pairs = np.flatnonzero(near)
    bounds = np.searchsorted(pairs, np.arange(rows.size + 1) * num_rays)
    counts = np.diff(bounds)
    return counts, pairs - np.repeat(np.arange(rows.size) * num_rays, counts)


def _blocked(primitives: Primitives, point: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Whether a solid lies between points and their samples of the light, both [3, n] float32; [n] bool."""
    blocked = np.zeros(point.shape[1], dtype=bool)
    reach = np.sqrt((primitives.extent**2).sum(axis=(1, 2)))
    rows = np.flatnonzero(primitives.casts & (reach > _SMALLEST_M))
    ray = light - point
    counts, index = _candidates(primitives, rows, point, ray)
    turn = np.repeat(primitives.to_local[rows].reshape(-1, 9).T, counts, axis=1)
    offset = np.take(point, index, axis=1) - np.repeat(primitives.centre[rows].T, counts, axis=1)
    span = np.take(ray, index, axis=1)
    o = turn[0::3] * offset[0] + turn[1::3] * offset[1] + turn[2::3] * offset[2]
    d = turn[0::3] * span[0] + turn[1::3] * span[1] + turn[2::3] * span[2]
    t = enter(primitives.shape[rows], counts, o, d, np.repeat(primitives.core[rows], counts))
    blocked[index[(t > 0) & (t < 1)]] = True
    return blocked


def _smooth(visible: np.ndarray, surface_id: np.ndarray) -> np.ndarray:
    """Average over a 5x5 window, only over pixels of the same surface; visible [L, h, w], surface_id [h, w]."""
    for axis in (1, 2):
        total, weight = visible.copy(), np.ones_like(visible)
        for shift in (1, 2):
            low = tuple(slice(None, -shift) if a == axis else slice(None) for a in range(3))
            high = tuple(slice(shift, None) if a == axis else slice(None) for a in range(3))
            same = (surface_id[low[1:]] == surface_id[high[1:]]).astype(np.float32)
            total[low] += same * visible[high]
            total[high] += same * visible[low]
            weight[low] += same
            weight[high] += same
        visible = total / weight
    return visible


def visibility(
    primitives: Primitives, surface: Surface, surface_id: np.ndarray, lights: list[Light], shape: tuple[int, int]
) -> np.ndarray:
    """How much of each light every pixel sees.

    Args:
        primitives: the solids that may stand in between.
        surface: what the pixels show.
        surface_id: [P] int64, equal on one smooth surface.
        lights: L lights.
        shape: H, W.

    Returns:
        [L, P] float32 in [0, 1].
    """
    height, width = shape
    grid = np.arange(height * width).reshape(shape)[::STRIDE, ::STRIDE]
    lines, columns = grid.shape
    pixels = grid.ravel()
    normal = surface.normal[:, pixels]
    point = surface.point[:, pixels] + _LIFT_M * normal
    samples = _jitter(lines, columns)
    visible = np.ones((len(lights), pixels.size), dtype=np.float32)
    for index, light in enumerate(lights):
        target = np.array(light.position, np.float32)[:, None] + np.array(light.spread, np.float32)[:, None] * samples
        facing = np.flatnonzero((normal * (target - point)).sum(axis=0) > 0)
        visible[index, facing] = ~_blocked(primitives, point[:, facing], target[:, facing])
    smooth = _smooth(visible.reshape(-1, lines, columns), surface_id[pixels].reshape(lines, columns))
    return _refine(smooth, surface_id.reshape(shape), grid)


def _jitter(lines: int, columns: int) -> np.ndarray:
    """Sixteen points of the cube [-1, 1]^3 in a repeating 4x4 tile, [3, lines*columns] float32."""
    order = np.arange(16).reshape(4, 4)
    tile = np.stack([(order * 7 % 16), (order * 11 + order // 4 * 5) % 16, (order * 3 + 8) % 16]) / 7.5 - 1
    repeats = (1, -(-lines // 4), -(-columns // 4))
    return np.tile(tile, repeats)[:, :lines, :columns].reshape(3, -1).astype(np.float32)


def _refine(coarse: np.ndarray, surface_id: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Bring [L, h, w] to [L, H*W], averaging the coarse neighbours that lie on the pixel's own surface."""
    lines, columns = np.arange(surface_id.shape[0]), np.arange(surface_id.shape[1])
    fine_id, coarse_id = surface_id.ravel(), surface_id.ravel()[grid.ravel()]
    coarse = coarse.reshape(coarse.shape[0], -1)
    total = np.zeros((coarse.shape[0], fine_id.size), dtype=np.float32)
    weight = np.full(fine_id.size, 1e-4, dtype=np.float32)
    for line in (lines // STRIDE, np.minimum((lines + 1) // STRIDE, grid.shape[0] - 1)):
        for column in (columns // STRIDE, np.minimum((columns + 1) // STRIDE, grid.shape[1] - 1)):
            source = (line[:, None] * grid.shape[1] + column).ravel()
            same = (np.take(coarse_id, source) == fine_id).astype(np.float32)
            total += same * np.take(coarse, source, axis=1)
            weight += same
    # Pixels of slivers that the coarse grid misses take what lies next to them.
    nearest = (lines[:, None] // STRIDE * grid.shape[1] + columns // STRIDE).ravel()
    return (total + 1e-4 * np.take(coarse, nearest, axis=1)) / weight
