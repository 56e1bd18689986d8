"""Label encoders: how a target map becomes the classes that the `tlabel` and `slabel` kinds pool by."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.centroids import default_normal_centroids

NEAREST_DEPTH_M = 0.7
FARTHEST_DEPTH_M = 10.0


def encode_classes(target: Tensor, valid: Tensor, num_labels: int, state: Tensor | None = None) -> Tensor:
    """The classes themselves.

    Args:
        target: [B, H, W] int64 in [0, num_labels); read only where ``valid``.
        valid: [B, H, W] bool.
        num_labels: K.
        state: unused.

    Returns:
        [B, H, W] int64; 0 where not ``valid``.
    """
    return torch.where(valid, target, 0)


def encode_depth(target: Tensor, valid: Tensor, num_labels: int, state: Tensor | None = None) -> Tensor:
    """Assign each depth to one of K log-spaced bins.

    Args:
        target: [B, 1, H, W] float, metres; read only where ``valid``.
        valid: [B, H, W] bool.
        num_labels: K >= 2; edges log-spaced on [0.7, 10.0] m, depths outside go to the end bins.
        state: unused.

    Returns:
        [B, H, W] int64 in [0, K); 0 where not ``valid``.

    Raises:
        ConfigError: ``num_labels`` < 2.

    Source: Bruggemann et al. 2021, auxiliary depth loss.
    """
    if num_labels < 2:
        raise ConfigError(f"label_channels: depth bins need at least 2, got {num_labels}.")
    # Only inner edges are searched, so that depths beyond either end fall into the end bins.
    edges = torch.logspace(
        math.log10(NEAREST_DEPTH_M),
        math.log10(FARTHEST_DEPTH_M),
        num_labels + 1,
        dtype=target.dtype,
        device=target.device,
    )[1:-1]
    return torch.where(valid, torch.bucketize(target[:, 0].contiguous(), edges, right=True), 0)


@torch.no_grad()
def encode_normals(target: Tensor, valid: Tensor, num_labels: int, state: Tensor | None = None) -> Tensor:
    """Assign each normal to the centroid at the smallest angle.

    Args:
        target: [B, 3, H, W] float unit vectors; read only where ``valid``.
        valid: [B, H, W] bool.
        num_labels: K.
        state: [K, 3] float unit vectors; None takes :func:`default_normal_centroids`.

    Returns:
        [B, H, W] int64 in [0, K); 0 where not ``valid``.

    Raises:
        ConfigError: ``state`` holds a different number of centroids.
    """
    centroids = default_normal_centroids(num_labels) if state is None else state
    if centroids.shape != (num_labels, 3):
        raise ConfigError(
            f"label_channels: expected {num_labels} centroids [K, 3], got {tuple(centroids.shape)}. "
            "Fit the encoder again."
        )
    x, y, z = centroids.to(target)[:, :, None, None].unbind(dim=1)
    # Image by image, for memory; sums, not a matrix product, which autocast would run in half precision.
    labels = [(x * normal[0] + y * normal[1] + z * normal[2]).argmax(dim=0) for normal in target]
    return torch.where(valid, torch.stack(labels), 0)
