"""Label encoders: ranges, bin edges, nearest centroids, and invalid pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import resolve
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.tasks import TASKS


def encode(example: Any, state: torch.Tensor | None = None) -> torch.Tensor:
    task = example.task
    return resolve(LABEL_ENCODERS[task.label_encoder].encode)(example.target, example.valid, task.num_labels, state)


def test_labels_are_in_range_and_zero_where_not_valid(example: Any) -> None:
    labels = encode(example)
    assert labels.dtype == torch.int64
    assert labels.shape == example.valid.shape
    assert labels.min() >= 0
    assert labels.max() < example.task.num_labels
    assert (labels[~example.valid] == 0).all()
    assert len(labels.unique()) > 1


def test_invalid_pixels_have_no_influence_on_labels(example: Any) -> None:
    assert torch.equal(encode(example), encode(example.with_other_invalid_pixels()))


def test_a_batch_without_valid_pixels_has_label_zero(example: Any) -> None:
    empty = replace(example, valid=torch.zeros_like(example.valid)).with_other_invalid_pixels()
    assert (encode(empty) == 0).all()


def test_depth_bins_are_log_spaced_and_clamp_outside() -> None:
    edges = np.logspace(np.log10(0.7), np.log10(10.0), 41)
    middles = torch.tensor(np.sqrt(edges[1:] * edges[:-1])).view(1, 1, 1, 40)
    valid = torch.ones(1, 1, 40, dtype=torch.bool)
    encoder = resolve(LABEL_ENCODERS["depth_bins"].encode)
    assert encoder(middles, valid, 40, None).flatten().tolist() == list(range(40))
    outside = torch.tensor([0.0, 0.69, 10.01, 80.0]).view(1, 1, 1, 4)
    assert encoder(outside, valid[..., :4], 40, None).flatten().tolist() == [0, 0, 39, 39]


def test_one_depth_bin_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        resolve(LABEL_ENCODERS["depth_bins"].encode)(
            torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool), 1, None
        )


def test_normals_go_to_the_centroid_at_the_smallest_angle() -> None:
    state = torch.nn.functional.normalize(torch.randn(7, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    target = state.T.reshape(1, 3, 1, 7) * 0.98 + 0.01
    valid = torch.ones(1, 1, 7, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        labels = resolve(LABEL_ENCODERS["normal_centroids"].encode)(target, valid, 7, state)
    assert labels.flatten().tolist() == list(range(7))


def test_another_number_of_centroids_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 40 centroids"):
        resolve(LABEL_ENCODERS["normal_centroids"].encode)(
            torch.ones(1, 3, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool), 40, torch.ones(39, 3)
        )


def test_every_label_encoder_of_the_task_table_exists() -> None:
    assert {task.label_encoder for task in TASKS} <= set(LABEL_ENCODERS.names)


def test_a_depth_on_an_edge_belongs_to_the_farther_of_two_bins() -> None:
    valid = torch.ones(1, 1, 3, dtype=torch.bool)
    encode_depth = resolve(LABEL_ENCODERS["depth_bins"].encode)
    edge = torch.logspace(math.log10(0.7), 1, 3, dtype=torch.float64)[1].item()
    depths = torch.tensor([edge - 1e-9, edge, edge + 1e-9], dtype=torch.float64).view(1, 1, 1, 3)
    assert encode_depth(depths, valid, 2, None).flatten().tolist() == [0, 1, 1]
