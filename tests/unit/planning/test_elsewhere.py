"""Hours on a device that is not at hand: by hand, against a real step, and without the data."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atrcnas.engine.branch_search import branches_alone
from atrcnas.engine.costs import counted
from atrcnas.engine.devices import connect
from atrcnas.engine.gradient_search import search_batches, search_training
from atrcnas.engine.splits import open_splits
from atrcnas.engine.step import take_step
from atrcnas.ground.errors import ConfigError
from atrcnas.planning import stages
from atrcnas.planning.elsewhere import elsewhere
from atrcnas.planning.job import COMMITTED
from atrcnas.spec.experiment import Experiment
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
    found = elsewhere(tiny(**SMALL).replace(search={"estimator": "soft"}), BOX)
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
    found = elsewhere(tiny(**{**SMALL, "search": {"batch_size": 2, "estimator": "soft", **changed}}), BOX)
    assert [(one.name, one.steps, one.multiply_adds) for one in found.stages] == stages


def real_steps(experiment: Experiment) -> Iterator[int]:
    """Multiply-adds of each step of a search."""
    splits = open_splits(experiment)
    training, _ = search_training(experiment, splits, connect(experiment))
    for batch in search_batches(experiment, splits, {"first": 0, "rank": 0, "world": 1}):
        with FlopCounterMode(display=False) as counter:
            take_step(training, batch)
        yield counter.get_total_flops() // 2


@pytest.mark.parametrize(("contexts", "estimator"), [("after", "soft"), ("none", "soft"), ("together", "sampled")])
def test_a_search_of_branches_is_counted_in_its_warm_up_and_after_it(contexts: str, estimator: str) -> None:
    """Against the operations of two real steps, of which the first is the warm-up."""
    branches = {"contexts": contexts, "estimator": estimator, "warm_up": 0.5}
    search = {"batch_size": 2, "steps": 2, "branches": branches}
    spec = tiny(**{**SMALL, "search": search, "space": {"schema": 1, "pairs": {"default": ["local"]}}})
    found = elsewhere(spec, BOX).stages
    assert [one.name for one in found] == [*(["branches"] if contexts == "after" else []), "search", "retrain"]
    warming_up, after = real_steps(branches_alone(spec) if contexts == "after" else spec)
    assert (after > 1.2 * warming_up) == (estimator == "soft"), "each task goes through the copies of both"
    assert (found[0].steps, found[0].multiply_adds) == (2, pytest.approx((warming_up + after) / 2, rel=0.05))


def test_a_step_that_compares_configs_is_counted_as_it_is_taken() -> None:
    """Where every pair has one kind but one, two draws share most of what is pooled."""
    space = {"schema": 1, "pairs": {"default": ["local"], "semseg<-depth": ["local", "global"]}}
    search = {"batch_size": 2, "steps": 4, "estimator": "paired", "commit_gap": 1.0, "draws": 4}
    spec = tiny(**{**SMALL, "search": search, "space": space})
    splits = open_splits(spec)
    training, choice = search_training(spec, splits, connect(spec))
    (batch, *_) = search_batches(spec, splits, {"first": 0, "rank": 0, "world": 1})
    mixtures = stages.on_meta(choice.draw(0))
    assert len(mixtures) == 2, "the draws of this seed do not differ"
    found = stages.step_multiply_adds(copy.deepcopy(training.weights.net), mixtures, batch.image.shape)
    with FlopCounterMode(display=False) as counter:
        take_step(training, batch)
    assert found == pytest.approx(counter.get_total_flops() // 2, rel=0.03)


def test_after_a_search_of_branches_the_tree_that_costs_most_is_counted() -> None:
    """The same as if it had been given; which one will be found is not known."""
    tree = {"width": 16, "branches": {"stage1": [["semseg"], ["depth"]]}}
    search = {"batch_size": 2, "branches": {}}
    found = elsewhere(tiny(**{**SMALL, "search": search}), BOX)
    _, *after = found.stages
    given, shared = (elsewhere(tiny(**{**SMALL, "model": model}), BOX).stages for model in (tree, {}))
    assert "with all of them apart" in "\n".join(found.lines())
    assert [one.multiply_adds for one in after] == [one.multiply_adds for one in given]
    assert all(one.multiply_adds > less.multiply_adds for one, less in zip(after, shared, strict=True))


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
