"""Decoders: shapes, ranges and precision of predictions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from atrcnas.ground.registry import resolve
from atrcnas.objectives.decode import as_map
from atrcnas.spec.decoders import DECODERS

RANGES = {"clamp": (0.0, float("inf")), "unit": (-1.0, 1.0), "foreground": (0.0, 1.0), "sigmoid": (0.0, 1.0)}


def test_prediction_has_the_shape_of_the_target(example: Any) -> None:
    assert example.decoded.shape == example.target.shape


def test_prediction_of_half_precision_output_is_single_precision(example: Any) -> None:
    decoded = resolve(DECODERS[example.task.decode].function)(example.raw.bfloat16())
    assert decoded.dtype == (torch.int64 if example.task.decode == "argmax" else torch.float32)


@pytest.mark.parametrize("name", RANGES)
def test_prediction_is_in_range(name: str) -> None:
    low, high = RANGES[name]
    decoded = resolve(DECODERS[name].function)(torch.randn(2, 3, 5, 6) * 50)
    assert decoded.min() >= low
    assert decoded.max() <= high


def test_unit_gives_length_one_and_leaves_zero() -> None:
    output = torch.randn(1, 3, 4, 4)
    output[..., 0, 0] = 0
    length = resolve(DECODERS["unit"].function)(output).norm(dim=1)[0]
    assert length[0, 0] == 0
    torch.testing.assert_close(length.flatten()[1:], torch.ones(15))


def test_foreground_is_the_probability_of_class_one() -> None:
    output = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    assert resolve(DECODERS["foreground"].function)(output).item() == pytest.approx(torch.tensor(2.0).sigmoid().item())


def test_clamp_changes_only_what_is_negative() -> None:
    output = torch.tensor([-1.0, 0.0, 0.5, 12.0]).view(1, 1, 2, 2)
    assert resolve(DECODERS["clamp"].function)(output).flatten().tolist() == [0.0, 0.0, 0.5, 12.0]


def test_a_map_is_rows_columns_and_channels_where_there_are_several() -> None:
    x = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    assert as_map(x).tolist() == x[0].permute(1, 2, 0).tolist()
    assert as_map(x[:, :1]).tolist() == as_map(x[:, 0]).tolist() == x[0, 0].tolist()
