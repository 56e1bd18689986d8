"""A stage of a run, search or retrain: started or resumed, then run by the main loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atrcnas.engine.briefing import briefing
from atrcnas.engine.canvas import on_one_canvas
from atrcnas.engine.checkpoints import Checkpoints
from atrcnas.engine.devices import surroundings
from atrcnas.engine.listener import Listener, Listeners
from atrcnas.engine.logging import Loggers
from atrcnas.engine.loop import train
from atrcnas.engine.progress import Progress
from atrcnas.engine.recording import MetricsRecorder
from atrcnas.engine.splits import Splits, choosing_loader
from atrcnas.engine.training import Training
from atrcnas.ground.errors import CheckpointError
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment


class Clock(Listener):
    """Wall seconds of a stage, over all resumes.

    Attributes:
        seconds: until the last checkpoint, or now.
    """

    name = "tables"  # beside their sizes: all else in a checkpoint is the same in every run

    def __init__(self) -> None:
        self._before, self._began = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds spent up to the checkpoint."""
        return self._before + time.monotonic() - self._began

    def state(self) -> dict[str, Any]:
        """Seconds until now."""
        return {"seconds": self.seconds}

    def load(self, state: Mapping[str, Any]) -> None:
        """Count on."""
        self._before = float(state["seconds"])


@dataclass(frozen=True)
class Stage:
    """A stage that has started.

    Attributes:
        experiment: what it was made with.
        folder: of the run.
        training: its state, brought to the last checkpoint.
        checkpoints: where it is saved.
        listeners: with a state of their own, brought to the last checkpoint too.
        clock: one of them.
        share: first step, rank and world, for the loaders.
    """

    experiment: Experiment
    folder: RunFolder
    training: Training
    checkpoints: Checkpoints
    listeners: Sequence[Listener]
    clock: Clock
    share: dict[str, int]


def begin(
    experiment: Experiment,
    folder: RunFolder,
    resume: bool,
    training: Training,
    recorders: Sequence[Listener] = (),
    keeps_best: bool = False,
) -> Stage:
    """Enter a stage of a run, and bring its state to that of the last checkpoint.

    Args:
        experiment: the resolved experiment.
        folder: of the run, locked.
        resume: whether the stage may have started before.
        training: freshly built.
        recorders: what the stage writes besides metrics.csv.
        keeps_best: keep the weights with the best score alongside the last state.

    Raises:
        RunError: the stage has already started and ``resume`` is off, or the run's experiment differs.
        CheckpointError: the last checkpoint is damaged, and so is the one before it.
    """
    fabric, clock = training.fabric, Clock()
    metrics = MetricsRecorder(folder.metrics(training.stage), fabric.is_global_zero)
    loggers = [Loggers(experiment, folder)] if experiment.loggers and fabric.is_global_zero else []
    listeners = Listeners([clock, metrics, *recorders, *loggers])
    checkpoints = Checkpoints(folder.checkpoints(training.stage), fabric.is_global_zero, keeps_best)
    state = checkpoints.load()
    fabric.barrier()
    folder.enter(experiment, training.stage, resume, surroundings(experiment))
    if state is not None:
        try:
            training.load(state)
            listeners.load(state)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CheckpointError(
                f"{checkpoints.last}: not a checkpoint of this run ({reason}). Start over in another --run."
            ) from error
    share = {"first": training.step, "rank": fabric.global_rank, "world": fabric.world_size}
    return Stage(experiment, folder, training, checkpoints, listeners.all, clock, share)


def run_stage(
    stage: Stage,
    batches: Iterable[Any],
    splits: Splits,
    watching: Sequence[Listener] = (),
    until: int | None = None,
) -> None:
    """Train to the last step or up to an earlier one, validating on the selection part, or without one on the validation split.

    Args:
        stage: started by :func:`begin`.
        batches: for the steps that are left.
        splits: of the data.
        watching: further listeners.
        until: steps completed when to leave; None: all.

    Raises:
        Stopped: on request; the state is saved.
        AtrcnasError: see the message.
    """
    experiment, training = stage.experiment, stage.training
    place = {key: stage.share[key] for key in ("rank", "world")}
    validation = choosing_loader(experiment, splits, training.recipe.batch_size, **place)
    batches = on_one_canvas(batches, experiment.data, training.fabric.device)
    speaks = training.fabric.is_global_zero
    facts = briefing(experiment, stage.folder, training, splits) if speaks else []
    train(training, batches, validation, stage.checkpoints, [*stage.listeners, Progress(facts), *watching], until)
    training.fabric.barrier()
