"""Weights of classes: given, or from how rare each class is in the training samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from atrcnas.data.loading import open_source
from atrcnas.engine.class_weights import balanced_weights, weighted_tasks
from atrcnas.objectives.losses import cross_entropy, weighted_cross_entropy
from atrcnas.objectives.objective import Objective
from atrcnas.spec.experiment import Experiment

ROOMS = {"name": "rooms", "options": {"image_size": [32, 48], "train_size": 6, "val_size": 2}}


def experiment(class_weights: object) -> Experiment:
    options = {"semseg": {"class_weights": class_weights}}
    return Experiment.load({"tasks": ["semseg", "depth"], "task_options": options, "data": ROOMS})


def test_the_weighted_loss_is_torchs_with_the_sum_over_pixels_instead_of_over_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 4, 5, 6, generator=generator), torch.randint(0, 4, (2, 5, 6), generator=generator)
    valid = torch.rand(2, 5, 6, generator=generator) > 0.3
    weights = (0.5, 2.0, 0.0, 7.0)
    masked = torch.where(valid, target, 255)
    total = F.cross_entropy(logits, masked, torch.tensor(weights), ignore_index=255, reduction="sum")
    assert weighted_cross_entropy(logits, target, valid, weights).item() == pytest.approx(
        total.item() / valid.sum().item()
    )
    assert torch.equal(weighted_cross_entropy(logits, target, valid), cross_entropy(logits, target, valid))


def test_balanced_weights_give_each_class_the_same_part_and_leave_the_mean_at_1() -> None:
    counts = np.array([900, 90, 0, 10])
    weights = np.array(balanced_weights(counts))
    parts = weights * counts
    assert parts[[0, 1, 3]] == pytest.approx([1000 / 3] * 3)
    assert parts.sum() / counts.sum() == pytest.approx(1)
    assert weights[2] == weights.max()


def test_balanced_weights_of_an_experiment_are_counted_in_its_training_samples() -> None:
    wanted = experiment("balanced")
    source = open_source(wanted, "train")
    tasks = weighted_tasks(wanted, source, range(len(source)))
    counts = sum(np.bincount(source[index].targets["semseg"].ravel(), minlength=15) for index in range(len(source)))
    assert tasks["semseg"].loss_options["class_weights"] == pytest.approx(balanced_weights(np.asarray(counts)))
    assert tasks["depth"] == wanted.resolved_tasks()["depth"]


def test_without_balanced_weights_no_sample_is_read() -> None:
    for given in (None, [1.0] * 15):
        plain = experiment(given)
        assert weighted_tasks(plain, None, range(3)) == plain.resolved_tasks()  # type: ignore[arg-type]


def test_given_weights_reach_the_loss_of_the_final_prediction() -> None:
    truth = {"semseg": torch.zeros(1, 4, 4, dtype=torch.long), "depth": torch.ones(1, 1, 4, 4)}
    valid = dict.fromkeys(truth, torch.ones(1, 4, 4, dtype=torch.bool))
    outputs = {"semseg": torch.zeros(1, 15, 4, 4), "depth": torch.ones(1, 1, 4, 4)}
    parts = [
        Objective(experiment(weights).resolved_tasks())(outputs, {}, {}, truth, valid)[1]["semseg"].item()
        for weights in (None, [3.0] + [1.0] * 14)
    ]
    assert parts[1] == pytest.approx(3 * parts[0])
