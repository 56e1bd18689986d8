"""Directions that stand for groups of surface normals: spherical k-means, and a default that needs no data."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrcnas.ground.errors import DataError

NUM_SAMPLES = 20_000
MAX_ROUNDS = 100

Float64s = npt.NDArray[np.float64]


def default_normal_centroids(num_centroids: int) -> Tensor:
    """Spread directions evenly over the half sphere that faces the camera.

    Args:
        num_centroids: K >= 1.

    Returns:
        [K, 3] float32 unit vectors with z < 0 (z points away from the camera), on a Fibonacci spiral.
    """
    step = torch.arange(num_centroids, dtype=torch.float64)
    z = -(step + 0.5) / num_centroids
    radius = (1 - z * z).sqrt()
    angle = step * math.pi * (3 - math.sqrt(5))
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=1).float()


def fit_normal_centroids(batches: Iterable[tuple[Tensor, Tensor]], num_centroids: int, seed: int) -> Tensor:
    """Spherical k-means of the training normals; the same however the data are split into batches.

    Args:
        batches: pairs of target [B, 3, H, W] float unit vectors and valid [B, H, W] bool.
        num_centroids: K >= 1.
        seed: of the sample and of the k-means++ start.

    Returns:
        [K, 3] float32 unit vectors.

    Raises:
        DataError: fewer than K valid normals.
    """
    generator = np.random.default_rng(seed)
    normals = _sample(batches, generator)
    if len(normals) < num_centroids:
        raise DataError(
            f"normals: expected at least {num_centroids} valid vectors to group, got {len(normals)}. "
            "Check the ground truth's valid masks."
        )
    centroids = _spread_start(normals, num_centroids, generator)
    for _ in range(MAX_ROUNDS):
        updated = _regroup(normals, centroids)
        if np.array_equal(updated, centroids):
            break
        centroids = updated
    return torch.from_numpy(centroids).float()


def _sample(batches: Iterable[tuple[Tensor, Tensor]], generator: np.random.Generator) -> Float64s:
    """At most NUM_SAMPLES valid unit vectors [N, 3], drawn evenly: those with the smallest random keys."""
    kept = np.empty((0, 4))
    for target, valid in batches:
        vectors = target.movedim(1, -1)[valid].double().cpu().numpy()
        keyed = np.column_stack([generator.random(len(vectors)), vectors])
        kept = np.concatenate([kept, keyed])
        if len(kept) > NUM_SAMPLES:
            kept = kept[np.argpartition(kept[:, 0], NUM_SAMPLES)[:NUM_SAMPLES]]
    vectors = kept[np.argsort(kept[:, 0]), 1:]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    present = length[:, 0] > 0
    units: Float64s = vectors[present] / length[present]
    return units


def _spread_start(normals: Float64s, num_centroids: int, generator: np.random.Generator) -> Float64s:
    """k-means++: each further centroid is a sample drawn with probability ~ its distance to the nearest one so far."""
    chosen = [int(generator.integers(len(normals)))]
    distance = np.full(len(normals), np.inf)
    while len(chosen) < num_centroids:
        distance = np.minimum(distance, np.maximum(1.0 - normals @ normals[chosen[-1]], 0.0))
        total = distance.sum()
        weight = distance / total if total > 0 else None
        chosen.append(int(generator.choice(len(normals), p=weight)))
    return normals[chosen]


def _regroup(normals: Float64s, centroids: Float64s) -> Float64s:
    """One k-means round: the mean direction of each group; a centroid without a group keeps its place."""
    nearest = (normals @ centroids.T).argmax(axis=1)
    total = np.stack([np.bincount(nearest, normals[:, axis], len(centroids)) for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, np.finfo(np.float64).tiny), centroids)
