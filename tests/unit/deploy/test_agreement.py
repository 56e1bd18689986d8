from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from atrcnas.deploy.agreement import compare, require_close
from atrcnas.ground.errors import ExportError

TASK = "depth"


def test_a_difference_counts_relative_to_the_range_and_the_worst_image_wins() -> None:
    expected = [{TASK: torch.tensor([0.0, 10.0])}, {TASK: torch.tensor([0.0, 1.0])}]
    got = [{TASK: torch.tensor([0.5, 10.0])}, {TASK: torch.tensor([0.0, 0.8])}]
    assert compare(expected, got) == {TASK: pytest.approx(0.2)}


@pytest.mark.parametrize("got", [torch.tensor([0.0, math.nan]), torch.zeros(3)])
def test_nan_and_another_shape_are_infinitely_far(got: torch.Tensor) -> None:
    assert compare([{TASK: torch.tensor([0.0, 1.0])}], [{TASK: got}]) == {TASK: math.inf}


@pytest.mark.parametrize(
    ("difference", "rounding", "close"),
    [(9e-5, 0.0, True), (2e-4, 0.0, False), (2e-4, 1e-4, False), (math.inf, math.inf, False)],
)
def test_a_difference_is_allowed_up_to_the_tolerance_whatever_rounding_does(
    difference: float, rounding: float, close: bool
) -> None:
    if close:
        require_close({TASK: difference}, {TASK: rounding}, 1e-4, Path("net.onnx"))
    else:
        with pytest.raises(ExportError, match=TASK):
            require_close({TASK: difference}, {TASK: rounding}, 1e-4, Path("net.onnx"))
