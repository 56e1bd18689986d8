"""Scores of the rows of a config: each target's validation loss with the weights of one supernet.

The loss rather than the metric: it is smoother, so that rows which differ little keep their order on few samples, and it
is the same sum over tasks that the supernet was trained on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from atrcnas.data.batch import Batch
from atrcnas.engine.class_weights import weighted_tasks
from atrcnas.engine.recalibrate import recalibrate
from atrcnas.engine.splits import calibration_loader, choosing_loader, kept_in_memory, open_splits
from atrcnas.launch.supernet import scored
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair


def score(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Score every target's row of one config in the same pass over the selection part.

    Args:
        payload: as of ``supernet.score``.

    Returns:
        As ``supernet.score``; ``by_target`` holds minus the validation loss of each task, ``score`` their sum.
    """
    return scored(payload, _judge)


def _judge(experiment: Experiment, net: MultiTaskNet, kinds: Mapping[Pair, str]) -> dict[str, Any]:
    calibration, selection, objective = _measures(json.dumps(experiment.dump()))
    mixture = Mixture.one_hot(kinds).to(next(net.parameters()).device)
    recalibrate(net, mixture, calibration)
    losses = validation_losses(net, mixture, objective, selection)
    return {"score": -sum(losses.values()), "by_target": {task: -loss for task, loss in losses.items()}}


@torch.no_grad()
def validation_losses(
    net: MultiTaskNet, mixture: Mixture, objective: Objective, batches: Iterable[Batch]
) -> dict[str, float]:
    """Each predicted task's weighted loss on its final prediction, mean over the images.

    Args:
        net: in evaluation mode.
        mixture: on its device.
        objective: of all tasks.
        batches: labelled images.
    """
    device = next(net.parameters()).device
    sums, images = dict.fromkeys(net.tasks, 0.0), 0
    for batch in batches:
        batch = batch.to(device)
        predictions = net(batch.image, batch.image_valid, mixture).predictions
        _, parts = objective(predictions, {}, {}, batch.targets, batch.valid)
        for task in sums:
            sums[task] += float(parts[task]) * len(batch.names)
        images += len(batch.names)
    return {task: total / images for task, total in sums.items()}


@functools.lru_cache(maxsize=1)
def _measures(experiment_json: str) -> tuple[Iterable[Batch], Iterable[Batch], Objective]:
    """Training images for BatchNorm, the selection part, both of whole images, and the losses; the same in every trial."""
    experiment = Experiment.load(json.loads(experiment_json))
    size = experiment.search.batch_size
    splits = kept_in_memory(experiment, open_splits(experiment))
    return (
        calibration_loader(experiment, splits, size),
        choosing_loader(experiment, splits, size),
        Objective(weighted_tasks(experiment, splits.train, splits.weights)),
    )
