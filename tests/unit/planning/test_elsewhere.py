"""Hours on a device that is not at hand: by hand, against a real step, and without the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atrcnas.engine.costs import counted
from atrcnas.engine.devices import connect
from atrcnas.ground.errors import ConfigError
from atrcnas.planning import stages
from atrcnas.planning.elsewhere import elsewhere
from atrcnas.planning.job import COMMITTED
from tests.e2e.test_command_line import atrcnas, refused
from tests.unit.planning.test_plan import SMALL, tiny

SOFT = round((1 - COMMITTED) * 1000 + COMMITTED * 400)  # of the steps that are made up below
BOX = "a box: 0.002 TFLOP/s sustained"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of round numbers: 1000 for all kinds of every pair, 400 for one kind each in a supernet, 100 without one."""

    def count(net: Any, mixtures: Sequence[Any], shape: Sequence[int]) -> int:
        assert tuple(shape) == (2, 3, 64, 64)
        if mixtures == [None]:
            return 100
        return sum(1000 if any(len(kinds) > 1 for kinds in mixture.active) else 400 for mixture in mixtures)

    monkeypatch.setattr("atrcnas.planning.elsewhere.step_multiply_adds", count)


@pytest.mark.usefixtures("made_up")
def test_hours_follow_by_hand() -> None:
    found = elsewhere(tiny(**SMALL), BOX)
    search, retrain = found.stages
    assert (search.name, search.steps, search.multiply_adds) == ("search", 6, SOFT)
    assert (retrain.name, retrain.steps, retrain.multiply_adds) == ("retrain", 4, 100)
    assert retrain.hours == pytest.approx(4 * 2 * 100 / 0.002e12 / 3600)
    assert found.hours == pytest.approx((6 * SOFT + 4 * 100) * 2 / 0.002e12 / 3600)
    assert (found.device, found.image_size) == ("a box", (64, 64))


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ({"seeds": 3}, [("search", 18, SOFT), ("retrain", 4, 100)]),
        (
            {"held_out": 0.5},
            [("search", 6, 2 * SOFT), ("retrain", 4, 100)],
        ),  # a batch for the logits, one for the weights
        ({"estimator": "paired"}, [("search", 6, 800), ("retrain", 4, 100)]),
        (
            {"strategy": "random", "trials": {"number": 5, "steps": 30}},
            [("trials", 150, 100), ("retrain", 4, 100)],
        ),
        ({"strategy": "oneshot-random"}, [("search", 6, 400), ("retrain", 4, 100)]),
        ({"strategy": "oneshot-random", "trials": {"supernet": "runs/there"}}, [("retrain", 4, 100)]),
    ],
)
def test_what_a_search_consists_of_is_counted(changed: dict[str, Any], stages: list[tuple[str, int, int]]) -> None:
    found = elsewhere(tiny(**{**SMALL, "search": {"batch_size": 2, **changed}}), BOX)
    assert [(one.name, one.steps, one.multiply_adds) for one in found.stages] == stages


def test_a_frozen_backbone_costs_no_backward_pass(steps_taken: list[int]) -> None:
    """Against the operations of a real step."""
    frozen = tiny(**{**SMALL, "backbone": {**SMALL["backbone"], "freeze": True}})
    stages.retrain_cost(frozen, connect(frozen), 0.0)
    search, retrain = elsewhere(frozen, BOX).stages
    assert retrain.multiply_adds == pytest.approx(steps_taken[0], rel=0.1)
    assert search.multiply_adds > retrain.multiply_adds


@pytest.mark.parametrize("groups", [1, 4, 8])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_backward_pass_of_a_convolution_takes_two_forward_passes(groups: int, transposed: bool) -> None:
    """One for the gradient of its input, where that is asked for, and one for that of its weights."""
    conv = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 16, 3, stride=2, groups=groups, bias=False)
    places = 7 * 9 if transposed else 3 * 4  # where the kernel is laid
    once = 2 * places * 9 * 8 * 16 // groups
    for learning in (False, True):
        x = torch.randn(2, 8, 7, 9, requires_grad=learning)
        assert counted(lambda x=x: conv(x).sum().backward()) == (3 if learning else 2) * once


@pytest.mark.parametrize("like", ["H100", "H100: fast", "H100: 0 TFLOP/s", "45 TFLOP/s", "H100: 45", ": 45 TFLOP/s"])
def test_a_device_of_another_form_is_refused(like: str) -> None:
    with pytest.raises(ConfigError, match=r"--like: expected such as 'H100: 45 TFLOP/s sustained', got"):
        elsewhere(tiny(**SMALL), like)


def test_without_a_size_of_images_there_is_nothing_to_count() -> None:
    folder = {"name": "folder", "options": {"root": "nowhere", "classes": {"semseg": 5}, "image_size": None}}
    with pytest.raises(ConfigError, match=r"data\.augment\.crop_size: expected a size"):
        elsewhere(tiny().replace(data=folder), BOX)


def test_the_command_needs_no_data_and_prints_what_it_assumes(tmp_path: Path) -> None:
    document = tiny(**SMALL).dump()
    document["data"] = {"name": "nyud", "options": {"root": "nowhere"}, "augment": {"crop_size": [64, 96]}}
    (tmp_path / "tiny.yaml").write_text(json.dumps(document))
    done = atrcnas(tmp_path, "plan", "tiny.yaml", "--like", BOX)
    assert done.returncode == 0, done.stderr
    assert "on a box, if it sustains 0.002 TFLOP/s" in done.stdout
    assert "Assumed, not measured: 0.002 TFLOP/s" in done.stdout and "at 64x96" in done.stdout
    assert "expected such as" in refused(tmp_path, "plan", "tiny.yaml", "--like", "a box")
