"""Procedural textures: the colour of every surface point from its place on the solid."""

from functools import cache

import numpy as np

from atrcnas.data.rooms.parts import Pattern, Shape
from atrcnas.data.rooms.raycast import Surface
from atrcnas.data.rooms.scene import Scene

_LATTICE = 64


@cache
def _lattice() -> np.ndarray:
    """A fixed table of random numbers in [0, 1), the same in every room."""
    return np.random.default_rng(0).random(_LATTICE * _LATTICE, dtype=np.float32)


def _hash(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A random number in [0, 1) for each cell of integer coordinates (given as floats)."""
    index = (v.astype(np.int32) & (_LATTICE - 1)) * _LATTICE + (u.astype(np.int32) & (_LATTICE - 1))
    return _lattice()[index]


def value_noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise in [0, 1) with one feature per unit; u, v are [n] float32."""
    floor_u, floor_v = np.floor(u), np.floor(v)
    fu, fv = u - floor_u, v - floor_v
    mask = _LATTICE - 1
    left = floor_u.astype(np.int32)
    low = floor_v.astype(np.int32)
    right, high = (left + 1) & mask, ((low + 1) & mask) * _LATTICE
    left, low = left & mask, (low & mask) * _LATTICE
    table = _lattice()
    below = table[low + left] * (1 - fu) + table[low + right] * fu
    above = table[high + left] * (1 - fu) + table[high + right] * fu
    return below + (above - below) * fv


def _stripes(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return (u - np.floor(u) < 0.5).astype(np.float32)


def _planks(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    row = np.floor(v)
    along = u * 0.12 + _hash(row, row * 3)
    seam = (v - row < 0.07) | (along - np.floor(along) < 0.012)
    return np.where(seam, np.float32(1.0), 0.6 * _hash(np.floor(along), row)) + 0.2 * (noise - 0.5)


def _tiles(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return ((u - np.floor(u) < 0.06) | (v - np.floor(v) < 0.06)).astype(np.float32)


def _checker(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return (np.floor(u) + np.floor(v)) % 2


def _speckle(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return value_noise(u, v)


def _books(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return _hash(np.floor(u), np.floor(u) * 7)


def _gradient(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    # A tree line under a sky that pales towards it.
    return np.clip((v + 0.12 + 0.25 * (value_noise(u * 6, v * 2) - 0.5)) * 8, 0, 0.75) + np.clip(v * 0.5, 0, 0.25)


def _blocks(u: np.ndarray, v: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.floor(value_noise(u + 7, v + 3) * 5) / 4


_PATTERNS = {
    Pattern.STRIPES: _stripes,
    Pattern.PLANKS: _planks,
    Pattern.TILES: _tiles,
    Pattern.CHECKER: _checker,
    Pattern.SPECKLE: _speckle,
    Pattern.BOOKS: _books,
    Pattern.GRADIENT: _gradient,
    Pattern.BLOCKS: _blocks,
}


def _coordinates(scene: Scene, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Two coordinates in metres along the surface of each pixel's solid."""
    axis = surface.face // 2
    x, y, z = surface.local
    flat = surface.primitive < 0
    flat |= scene.primitives.shape[surface.primitive] == Shape.BOX
    # Round solids have no face: wrap their pattern around with the sum of x and y.
    u = np.where(axis == 0, y, x) + np.where(flat, 0, y)
    v = np.where((axis == 2) & flat, y, z)
    return u, v


def material_of(scene: Scene, surface: Surface) -> np.ndarray:
    """Look up the material of every pixel, [10, P] float32."""
    shell = np.array(
        [(*m.colour, *m.second, m.pattern, m.period_m, m.grain, m.emission) for m in scene.shell], np.float32
    )
    table = np.concatenate([shell, scene.primitives.material])
    rows = np.where(surface.primitive < 0, surface.face, surface.primitive + len(shell))
    return np.take(table.T, rows, axis=1)


def albedo(scene: Scene, surface: Surface, material: np.ndarray) -> np.ndarray:
    """Linear RGB reflectance of every pixel, [3, P] float32 in [0, 1]."""
    u, v = _coordinates(scene, surface)
    # Offsets per solid keep two equal chairs from sharing their grain.
    noise = 0.6 * value_noise(u * 9 + surface.primitive, v * 23) + 0.4 * value_noise(u * 37, v * 61 + surface.primitive)
    mix = np.zeros_like(u)
    patterns = material[6].astype(np.int8)
    for pattern, function in _PATTERNS.items():
        index = np.flatnonzero(patterns == pattern)
        if index.size:
            period = material[7, index]
            mix[index] = function(u[index] / period, v[index] / period, noise[index])
    colour = material[:3] + (material[3:6] - material[:3]) * mix
    return np.clip(colour * (1 + material[8] * (noise - 0.5)), 0, 1)
