"""Hours on a device that is not at hand: by hand, against a real step, and without the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atrcnas.engine.costs import counted
from atrcnas.engine.devices import connect
from atrcnas.engine.step import take_step
from atrcnas.ground.errors import ConfigError
from atrcnas.planning import stages
from atrcnas.planning.elsewhere import elsewhere
from atrcnas.planning.job import COMMITTED
from tests.e2e.test_command_line import atrcnas, refused
from tests.unit.planning.test_plan import SMALL, tiny

BOX = "a box: 0.002 TFLOP/s sustained"


def test_hours_follow_by_hand_and_a_search_gets_cheaper_as_pairs_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny(**SMALL)
    found = elsewhere(experiment, BOX)
    search, retrain = found.stages
    counts = []
    for share in (0, 1):
        monkeypatch.setattr("atrcnas.planning.elsewhere.COMMITTED", share)
        counts.append(elsewhere(experiment, BOX).stages[0].multiply_adds)
    assert retrain.multiply_adds < counts[1] < counts[0]
    assert search.multiply_adds == pytest.approx((1 - COMMITTED) * counts[0] + COMMITTED * counts[1])
    assert found.device == "a box" and found.image_size == (64, 64)
    assert retrain.steps == 4 and retrain.hours == pytest.approx(4 * 2 * retrain.multiply_adds / 2e9 / 3600)
    assert found.hours == pytest.approx(search.hours + retrain.hours)


def test_a_frozen_backbone_costs_no_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the operations of a real step."""
    counted: list[int] = []

    def watched(training: Any, batch: Any) -> Any:
        with FlopCounterMode(display=False) as counter:
            losses = take_step(training, batch)
        counted.append(counter.get_total_flops() // 2)
        return losses

    monkeypatch.setattr("atrcnas.planning.timing.take_step", watched)
    frozen = tiny(**{**SMALL, "backbone": {**SMALL["backbone"], "freeze": True}})
    stages.retrain_cost(frozen, connect(frozen), 0.0)
    assert elsewhere(frozen, BOX).stages[-1].multiply_adds == pytest.approx(counted[0], rel=0.1)


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


def test_seeds_trials_and_the_two_batches_of_a_bi_level_search_are_counted() -> None:
    once, *others = (
        elsewhere(tiny(**{**SMALL, "search": {"batch_size": 2, "steps": 100, **more}}), BOX)
        for more in (
            {},
            {"seeds": 3},
            {"held_out": 0.5},
            {"strategy": "random", "trials": {"number": 5, "steps": 30}},
        )
    )
    seeds, bi_level, trials = others
    assert seeds.stages[0].hours == pytest.approx(3 * once.stages[0].hours)
    assert bi_level.stages[0].hours == pytest.approx(2 * once.stages[0].hours)
    assert [(one.name, one.steps) for one in trials.stages] == [("trials", 150), ("retrain", 4)]
    assert trials.stages[0].multiply_adds == trials.stages[1].multiply_adds == once.stages[1].multiply_adds


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
