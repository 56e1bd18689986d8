"""Validation while a stage trains: the scores of all tasks, and the one figure by which states are compared."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from atrcnas.data.batch import Batch
from atrcnas.engine.listener import Listener
from atrcnas.engine.scores import Scores
from atrcnas.engine.training import Training
from atrcnas.nn.net import Outputs


@torch.no_grad()
def validate(training: Training, batches: Iterable[Batch], listeners: Listener) -> bool:
    """Score all tasks, a search by its current choice; sets ``scores``, ``selection`` and ``best`` of ``training``.

    Args:
        training: what is scored; its weights are settled.
        batches: of all validation samples.
        listeners: are asked at each batch and may stop; a resumed run then repeats the validation.

    Returns:
        Whether ``selection`` is the best so far.

    Raises:
        Stopped: on request.
        RunError: the weights are no longer finite.
    """
    training.settle()
    net, device = training.weights.evaluated, training.fabric.device
    mixture = None if training.choice is None else training.choice.argmax_mixture()
    collected = Scores(training.tasks, device)
    net.eval()
    for batch in batches:
        listeners.before_batch(training, validating=True)
        batch = batch.to(device)
        with training.fabric.autocast():
            outputs: Outputs = net(batch.image, batch.image_valid, mixture)
        collected.update(outputs.predictions, batch)
    net.train()
    training.scores = collected.compute()
    training.selection = collected.selection(training.scores)
    training.validated = training.step
    better = training.selection > training.best
    training.best = max(training.selection, training.best)
    return better
