"""The main loop, of searching and of retraining.

until all steps are done:
    every `validate_every` steps and after the last:    validate, save a checkpoint       validation.py
    take a step on the next batch                                                         step.py
    every `log_every` steps:                            report losses and schedules       training.py
    on SIGTERM or Ctrl-C:                               save a checkpoint, leave          stopping.py

Every draw of a step (samples, augmentation, mixture, dropout) is a function of (seed, step). A checkpoint therefore
holds no generator's state, and a run that continues from it ends, on the CPU, bit for bit like an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch.profiler import record_function

from atrcnas.data.batch import Batch
from atrcnas.data.watched import explained
from atrcnas.engine.checkpoints import Checkpoints
from atrcnas.engine.listener import Listener, Listeners
from atrcnas.engine.memory import out_of_memory
from atrcnas.engine.step import take_step
from atrcnas.engine.stopping import StopRequest
from atrcnas.engine.training import Training
from atrcnas.engine.validation import validate
from atrcnas.ground.errors import DataError, Stopped

# Ranges of a profile; without a profiler they cost a microsecond.
MARK = "part: "
REST, DATA = "rest (neck, mixing, clipping, Python)", "data (waiting for the loader)"


def train(
    training: Training,
    batches: Iterable[Any],
    validation: Iterable[Batch],
    checkpoints: Checkpoints,
    listeners: Sequence[Listener],
    until: int | None = None,
) -> None:
    """Train to the last step, or up to an earlier one, from wherever ``training`` is.

    Args:
        training: the state and its step.
        batches: those for the steps that are left.
        validation: batches of all validation samples.
        checkpoints: where the state is saved.
        listeners: receive every event, after the stop request.
        until: steps completed when to leave, validated and saved, so that the training can go on; None: all.

    Raises:
        Stopped: on request; the state is saved.
        RunError: a loss is no longer finite, or memory runs out.
        DataError: a sample cannot be read, or a loader process died.
    """
    stop, last = StopRequest(training.fabric), until or training.recipe.steps
    everyone = Listeners([stop, *listeners])
    left = iter(batches)
    try:
        everyone.begin(training)
        while True:
            if training.validation_due or training.validated < training.step == last:
                better = validate(training, validation, everyone)
                everyone.validated(training)
                checkpoints.save(_state(training, everyone), training.weights.evaluated if better else None)
            if training.step >= last:
                return
            everyone.before_batch(training, validating=False)
            with record_function(MARK + DATA):
                batch = next(left)
            with record_function(MARK + REST):
                losses = take_step(training, batch)
            if training.log_due:
                everyone.logged(training, training.report(losses))
            everyone.stepped(training)
    except Stopped:
        training.settle()
        checkpoints.save(_state(training, everyone))
        raise
    except (RuntimeError, MemoryError, DataError) as error:
        if stop.received:  # the signal killed a loader process too; the step under way is lost
            raise Stopped(stop.received, training.step, saved=False) from error
        explanation = out_of_memory(error, training.step) or explained(error)
        if explanation is None:
            raise
        raise explanation from error
    finally:
        everyone.end(training)


def _state(training: Training, listeners: Listener) -> dict[str, Any]:
    return {**training.state(), **listeners.state()}
