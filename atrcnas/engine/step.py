"""One step, of searching and of retraining.

retraining            loss = objective(net(image))                        moves the weights
search, single-level  loss = objective(net(image, mixture)) + entropy     moves weights and logits
search, bi-level      the same on samples held out for it                 moves the logits,
                      then objective(net(image, mixture))                 moves the weights
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from atrcnas.data.batch import Batch
from atrcnas.engine.choice import Choice
from atrcnas.engine.losses import Losses
from atrcnas.engine.training import Training
from atrcnas.engine.weights import Weights
from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.averaging import average


def take_step(training: Training, batch: Batch | tuple[Batch, Batch]) -> Losses:
    """Take one step; a step whose loss is refused leaves nothing behind but its count.

    Args:
        training: the stage; its weights move and, in a search, its logits.
        batch: labelled images; for a bi-level search one batch for the logits and one for the weights.

    Returns:
        The losses on the last batch that was computed.

    Raises:
        RunError: too many steps in a row were refused.
    """
    weights, choice = training.weights, training.choice
    training.begin_step()
    held_out, batch = batch if isinstance(batch, tuple) else (None, batch)
    if choice is None:
        losses = training.losses(batch, [None])
        accepted = training.accepts(losses, batch)
        if accepted:
            _move_by(training, (weights,), losses.total, losses, batch, [None])
    elif held_out is None:
        mixtures = choice.draw(training.step)
        losses = training.losses(batch, mixtures)
        accepted = training.accepts(losses, batch)
        if accepted:  # one gradient for both, clipped once, as published
            moved = (weights,) if choice.rests(training.step) else (weights, choice)
            objective = choice.objective(training.step, mixtures, losses)
            _move_by(training, moved, objective, losses, batch, mixtures)
    else:
        mixtures = choice.draw(training.step)
        losses = training.losses(held_out, mixtures)
        accepted = training.accepts(losses, held_out)
        if accepted:
            if not choice.rests(training.step):
                _move((choice,), choice.objective(training.step, mixtures, losses), None)
            mixtures = choice.draw(training.step)
            losses = training.losses(batch, mixtures)
            accepted = training.accepts(losses, batch)
            if accepted:
                _move_by(training, (weights,), losses.total, losses, batch, mixtures)
    if accepted:
        training.finite.taken()
        weights.after_step()
    if choice is not None:
        choice.after_step(training.step)
    training.step += 1
    return losses


def _move_by(
    training: Training,
    moved: tuple[Weights | Choice, ...],
    objective: Tensor,
    losses: Losses,
    batch: Batch,
    mixtures: Sequence[Mixture | None],
) -> None:
    """Move the weights, and let the loss weighting see what that did."""
    weighting = training.weighting
    weighting.before_step(losses.live(), losses.maps)
    _move(moved, objective, training.recipe.clip)
    weighting.after_step(training.step, losses.by_task(), lambda: training.losses_again(batch, mixtures).by_task())


def _move(moved: tuple[Weights | Choice, ...], loss: Tensor, clip: float | None) -> None:
    """Backward, average over processes, clip the norm of the whole gradient, and let each optimiser step."""
    parameters = [parameter for part in moved for parameter in part.parameters]
    for part in moved:
        part.optimizer.zero_grad()
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    average(parameter.grad for parameter in parameters if parameter.grad is not None)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    for part in moved:
        part.optimizer.step()
