"""The main loop, of searching and of retraining.

until all steps are done:
    every `validate_every` steps and after the last:    validate, save a checkpoint
    train_step(next batch)                              training.py; search.py has the search's own
    on SIGTERM or Ctrl-C:                               save a checkpoint, leave

Every draw of a step (samples, augmentation, mixture, dropout) is a function of (seed, step). A checkpoint therefore
holds no generator's state, and a run that goes on from it ends, on the CPU, bit for bit as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from atrcnas.data.loading import Batch
from atrcnas.engine.checkpoints import Checkpoints
from atrcnas.engine.progress import Progress
from atrcnas.engine.stopping import StopRequest
from atrcnas.engine.training import Training
from atrcnas.ground.errors import AtrcnasError, DataError, RunError, Stopped


def train(
    training: Training, batches: Iterable[Any], validation: Iterable[Batch], checkpoints: Checkpoints, stage: str
) -> None:
    """Train to the last step, from wherever ``training`` is.

    Args:
        training: the state and its step.
        batches: those of the steps that are left.
        validation: batches of the whole validation split.
        checkpoints: where the state is saved.
        stage: the word shown: "search" or "retrain".

    Raises:
        Stopped: on request; the state is saved.
        RunError: a loss is no longer a number, or the GPU's memory does not suffice.
        DataError: a sample cannot be read, or a loader process died.
    """
    with StopRequest(training.fabric) as stop, Progress(training, stage) as progress:
        left = iter(batches)
        try:
            while True:
                if training.validation_due:
                    better = training.validate(validation, stop)
                    checkpoints.save(training.state(), training.net if better else None)
                    progress.validated()
                if training.step == training.recipe.steps:
                    return
                stop.check(training.step)
                training.train_step(next(left))
                progress.advance()
        except Stopped:
            training.settle()
            checkpoints.save(training.state())
            raise
        except (RuntimeError, DataError) as error:
            if stop.received:  # the signal killed a loader process too; the step under way is lost
                raise Stopped(stop.received, training.step, saved=False) from error
            explained = _explained(error, training.step)
            if explained is None:
                raise
            raise explained from error


def _explained(error: Exception, step: int) -> AtrcnasError | None:
    """What a user can do about it; None for an error that is no user's."""
    text = str(error).strip()
    if isinstance(error, torch.OutOfMemoryError):
        return RunError(
            f"step {step + 1}: out of GPU memory ({text.splitlines()[0]}). Lower batch_size or data.augment.crop_size, "
            "set precision: bf16 or search.estimator: sampled, or use more devices."
        )
    if isinstance(error, DataError):  # from a loader process it comes with that process's traceback
        return DataError(text.splitlines()[-1].partition("DataError: ")[2] or text)
    if "DataLoader worker" in text:
        return DataError(
            f"data: a loader process died ({text.splitlines()[0]}). Too little memory is the usual cause: "
            "set data.workers lower, then go on with --resume."
        )
    return None
