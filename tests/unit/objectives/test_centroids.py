"""Spherical k-means of normals: reproducible, independent of the batches, and it finds groups that are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.ground.errors import DataError
from atrcnas.objectives import centroids as module
from atrcnas.objectives.centroids import default_normal_centroids, fit_normal_centroids

Batch = tuple[Tensor, Tensor]


def batch(seed: int = 0, images: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    target = F.normalize(torch.randn(images, 3, 12, 14, generator=generator), dim=1)
    return target, torch.rand(images, 12, 14, generator=generator) > 0.3


def test_centroids_are_unit_vectors_and_follow_the_seed() -> None:
    first = fit_normal_centroids([batch()], 40, seed=3)
    assert first.shape == (40, 3)
    assert first.dtype == torch.float32
    torch.testing.assert_close(first.norm(dim=1), torch.ones(40))
    assert torch.equal(first, fit_normal_centroids([batch()], 40, seed=3))
    assert not torch.equal(first, fit_normal_centroids([batch()], 40, seed=4))


@pytest.mark.parametrize("num_samples", [200, 20_000])
def test_centroids_do_not_depend_on_the_batch_split(monkeypatch: pytest.MonkeyPatch, num_samples: int) -> None:
    monkeypatch.setattr(module, "NUM_SAMPLES", num_samples)
    target, valid = batch()
    whole = fit_normal_centroids([(target, valid)], 8, seed=0)
    parts = [(target[i : i + 2], valid[i : i + 2]) for i in range(0, 6, 2)]
    assert torch.equal(whole, fit_normal_centroids(parts, 8, seed=0))


def test_invalid_vectors_are_not_grouped() -> None:
    target, valid = batch()
    spoilt = torch.where(valid[:, None], target, torch.nan)
    assert torch.equal(fit_normal_centroids([(target, valid)], 8, 0), fit_normal_centroids([(spoilt, valid)], 8, 0))


def test_groups_that_are_there_are_found() -> None:
    axes = torch.cat([torch.eye(3), -torch.eye(3)])
    rng = np.random.default_rng(0)
    near = axes[rng.integers(0, 6, 600)] + 0.05 * torch.from_numpy(rng.normal(size=(600, 3))).float()
    target = F.normalize(near, dim=1).T.reshape(1, 3, 20, 30)
    found = fit_normal_centroids([(target, torch.ones(1, 20, 30, dtype=torch.bool))], 6, seed=0)
    closest = (found @ axes.T).max(dim=0)
    assert sorted(closest.indices.tolist()) == list(range(6))
    assert (closest.values > 0.999).all()


def test_equal_vectors_do_not_break_the_start() -> None:
    target = torch.zeros(1, 3, 4, 4)
    target[:, 2] = -1
    found = fit_normal_centroids([(target, torch.ones(1, 4, 4, dtype=torch.bool))], 5, seed=0)
    assert torch.equal(found, target[0, :, 0, 0].expand(5, 3))


def test_too_few_vectors_are_refused() -> None:
    target, valid = batch()
    with pytest.raises(DataError, match="at least 40 valid vectors"):
        fit_normal_centroids([(target, torch.zeros_like(valid))], 40, seed=0)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_default_centroids_face_the_camera_and_differ(count: int) -> None:
    centroids = default_normal_centroids(count)
    assert centroids.shape == (count, 3)
    torch.testing.assert_close(centroids.norm(dim=1), torch.ones(count))
    assert (centroids[:, 2] < 0).all()
    cosine = centroids @ centroids.T - 2 * torch.eye(count)
    assert cosine.max() < 0.99


def test_every_batch_has_its_share_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_SAMPLES", 50)
    batches = []
    for axis in range(4):
        target = torch.zeros(1, 3, 20, 20)
        target[:, axis % 3] = 1 if axis < 3 else -1
        batches.append((target, torch.ones(1, 20, 20, dtype=torch.bool)))
    found = fit_normal_centroids(batches, 4, seed=0)
    assert sorted(found.tolist()) == sorted(target[0, :, 0, 0].tolist() for target, _ in batches)


def test_default_centroids_lie_a_golden_angle_apart_on_rings_of_equal_area() -> None:
    golden = 2 * np.pi / ((1 + np.sqrt(5)) / 2) ** 2
    turns, height = np.arange(7) * golden, 1 - (2 * np.arange(7) + 1) / 14
    expected = np.stack(
        [np.cos(turns) * np.sqrt(1 - (1 - height) ** 2), np.sin(turns) * np.sqrt(1 - (1 - height) ** 2)]
    )
    np.testing.assert_allclose(default_normal_centroids(7)[:, :2].T, expected, atol=1e-6)
    np.testing.assert_allclose(default_normal_centroids(7)[:, 2], height - 1, atol=1e-6)


def test_as_many_vectors_as_groups_suffice_whatever_their_length() -> None:
    target = torch.diag(torch.tensor([0.5, 2.0, 4.0])).reshape(1, 3, 1, 3)
    found = fit_normal_centroids([(target, torch.ones(1, 1, 3, dtype=torch.bool))], 3, seed=0)
    assert sorted(found.tolist()) == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
