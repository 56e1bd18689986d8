"""The published recipe: every number in the bundled experiments, and what is done with some of them.

Where a number is expected, it is written here as published and never taken from the code. How the engine steps is in
test_recipe_steps.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from atrcnas import Experiment, Sampler
from atrcnas.data.sample import Sample
from atrcnas.data.transforms import augment
from atrcnas.ground.files import read_yaml
from atrcnas.objectives.objective import Objective
from atrcnas.spec.bundled import find
from atrcnas.spec.data import AugmentSpec
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.pairs import Pair

WEIGHTS = {"semseg": 1, "depth": 1, "normals": 10, "human_parts": 2, "sal": 5, "edge": 50}
LABELS = {"depth": 40, "normals": 40, "human_parts": 7, "sal": 2, "edge": 2}
PUBLISHED: dict[str, dict[str, Any]] = {
    "nyud": {
        "tasks": ("semseg", "depth", "normals", "edge"),
        "crop": (425, 560),
        "foreground": (),
        "validate_every": 990,
        "rate": 0.01,
        "edge": (0.8, 0.011),
        "classes": 40,
    },
    "pascal": {
        "tasks": ("semseg", "human_parts", "sal", "normals", "edge"),
        "crop": (512, 512),
        "foreground": ("human_parts",),
        "validate_every": 1872,
        "rate": 0.005,
        "edge": (0.95, 0.0075),
        "classes": 21,
    },
}
# With the original authors' ImageNet weights, which are not what timm downloads for `hrnet_w18_small_v2` alone.
BACKBONES = {"hrnet18": "hrnet_w18_small_v2.ms_in1k", "hrnet48": "hrnet_w48.ms_in1k"}
TRAIN = {"steps": 40_000, "batch_size": 8, "momentum": 0.9, "weight_decay": 5e-4, "poly_power": 0.9}
SEARCH = {
    "clip": 10,
    "logits_learning_rate": 5e-4,
    "tau": (1.0, 0.05),
    "entropy_weight": (-0.02, 0.06),
    "commit_gap": 0.3,
    "noise": True,
    "estimator": "soft",
    "held_out": 0,
}
AUGMENT = {
    "scale": (0.5, 2.0),
    "flip": 0.5,
    "photometric": True,
    "crop_max_share": 0.75,
    "interpolation": "opencv",
    "pad": "centred",
}
MODEL = {"neck": "concat", "task_features": "conv3", "width": None, "fuse": "concat", "refine": True, "head": "conv1"}


def sections(data: str, backbone: str) -> dict[str, dict[str, Any]]:
    """Section -> what it has to hold."""
    rate = {"learning_rate": PUBLISHED[data]["rate"], "validate_every": PUBLISHED[data]["validate_every"]}
    return {
        "backbone": {"name": BACKBONES[backbone], "weights": "hub", "upsample": "bilinear"},
        "model": MODEL | {"dropout": 0.05},
        "search": TRAIN | SEARCH | rate,
        "retrain": TRAIN | {"clip": None, "inherit": False} | rate,
    }


def plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def augmentation(data: str) -> dict[str, Any]:
    return AUGMENT | {"crop_size": PUBLISHED[data]["crop"], "require_foreground": PUBLISHED[data]["foreground"]}


def loading(data: str) -> dict[str, Any]:
    return {"pad_to": PUBLISHED[data]["crop"], "centroids": "published", "drop_last": True}


files = pytest.mark.parametrize("backbone", BACKBONES)
both = pytest.mark.parametrize("data", PUBLISHED)


@files
@both
def test_a_bundled_experiment_is_the_published_recipe(data: str, backbone: str) -> None:
    experiment, published = Experiment.load(f"{data}-{backbone}"), PUBLISHED[data]
    assert (experiment.tasks, experiment.auxiliary_tasks) == (published["tasks"], ())
    assert (experiment.data.name, experiment.space, experiment.precision) == (data, "atrc", "32")
    loaded = {name: getattr(experiment, name).model_dump() for name in sections(data, backbone)}
    for name, expected in sections(data, backbone).items():
        assert {key: loaded[name][key] for key in expected} == expected, name
    assert experiment.data.augment is not None
    assert experiment.data.augment.model_dump() == augmentation(data)
    assert {key: getattr(experiment.data, key) for key in loading(data)} == loading(data)
    assert experiment.data.options["unit_normals"] is False
    assert experiment.sync_batchnorm
    tasks = experiment.resolved_tasks()
    assert {name: task.weight for name, task in tasks.items()} == {name: WEIGHTS[name] for name in tasks}
    assert {name: task.num_labels for name, task in tasks.items()} == {
        name: LABELS.get(name, published["classes"]) for name in tasks
    }
    edge = tasks["edge"]
    assert (edge.loss_options["positive_weight"], edge.metric_options["max_dist"]) == published["edge"]
    assert METRICS[edge.metric].build(edge).max_dist == published["edge"][1]
    assert edge.metric_options["thin_target"] is False


@files
@both
def test_a_bundled_experiment_leaves_no_number_to_a_default(data: str, backbone: str) -> None:
    written = read_yaml(find(f"{data}-{backbone}", "experiments", "experiment"), "experiment")
    for name, expected in sections(data, backbone).items():
        assert {key: plain(value) for key, value in written[name].items()} == expected, name
    assert {key: plain(value) for key, value in written["data"]["augment"].items()} == augmentation(data)
    assert {key: plain(written["data"][key]) for key in loading(data)} == loading(data)
    assert written["sync_batchnorm"] is True
    options = written["task_options"]
    assert {name: value["weight"] for name, value in options.items()} == {name: WEIGHTS[name] for name in options}
    assert tuple(options) == PUBLISHED[data]["tasks"]
    assert (options["edge"]["positive_weight"], options["edge"]["max_dist"]) == PUBLISHED[data]["edge"]
    scored_by_miou = {name for name, task in Experiment.load(written).resolved_tasks().items() if task.score == "miou"}
    assert {name for name, value in options.items() if value.get("miou_over") == "all"} == scored_by_miou


@both
@pytest.mark.parametrize("present", [True, False])
def test_the_edge_loss_has_the_published_weights(data: str, present: bool) -> None:
    """Undecided everywhere: ln 2 a pixel, times the weight of the class, times the task's."""
    task = Experiment.load(f"{data}-hrnet18").resolved_tasks()["edge"]
    everywhere = torch.ones(1, 8, 8)
    _, parts = Objective({"edge": task})(
        {"edge": torch.zeros(1, 1, 8, 8)}, {}, {}, {"edge": everywhere.long() * present}, {"edge": everywhere.bool()}
    )
    positive = PUBLISHED[data]["edge"][0]
    assert float(parts["edge"]) == pytest.approx(50 * (positive if present else 1 - positive) * math.log(2))


def test_a_pair_commits_at_the_published_gap_and_for_good() -> None:
    kinds = ("none", "local", "mti")
    pairs = [Pair("a", source) for source in ("behind", "ahead", "exactly")]
    sampler = Sampler(dict.fromkeys(pairs, kinds), commit_gap=0.3).double()
    shares = torch.tensor([[0.3, 0.59, 0.11], [0.3, 0.61, 0.09], [0.25, 0.55, 0.2]], dtype=torch.float64)
    with torch.no_grad():
        sampler.logits.copy_(shares.log())
        sampler.commit()
        assert sampler.committed.tolist()[:2] == [False, True]
        sampler.commit_gap = float(sampler.probabilities()[2, 1] - sampler.probabilities()[2, 0])
        sampler.commit()
        assert sampler.committed.tolist() == [False, True, True], "at the very gap"
        sampler.logits.copy_(shares.roll(1, dims=1).log())  # now another kind leads by the gap
        sampler.commit()
    assert sampler.committed.tolist() == [False, True, True]
    for step in range(20):
        assert sampler.draw(step, 0.05).weights[1:].tolist() == [[0, 1, 0], [0, 1, 0]]
        assert sampler.draw(step, 1.0).weights[0].min() > 0
    assert set(list(sampler.chosen().values())[1:]) == {"local"}


class Counting(np.random.Generator):
    """Counts its draws of whole numbers: two for each crop."""

    drawn = 0

    def integers(self, *args: Any, **kwargs: Any) -> Any:
        self.drawn += 1
        return super().integers(*args, **kwargs)


@pytest.mark.parametrize(
    ("columns", "crops"), [("00000011", 1), ("0000001-", 11), ("00000001", 11), ("00000000", 11), ("--------", 11)]
)
def test_a_crop_is_redrawn_ten_times_while_a_class_has_more_than_three_quarters(columns: str, crops: int) -> None:
    """Of the labelled pixels (a dash is none); stripes, so that every crop has the same shares."""
    task = Experiment.load("nyud-hrnet18").resolved_tasks()["semseg"]
    stripes = np.tile(np.array([int(c == "1") for c in columns]), (24, 3))
    labelled = np.tile(np.array([c != "-" for c in columns]), (24, 3))
    sample = Sample("a", np.zeros((24, 24, 3), np.uint8), {"semseg": stripes}, {"semseg": labelled})
    random = Counting(np.random.PCG64(0))
    options = AugmentSpec(crop_size=(16, 16), scale=(1.0, 1.0), photometric=False)
    augment(sample, options, {"semseg": task}, random)
    assert random.drawn == 2 * crops
