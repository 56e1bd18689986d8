"""What watches a stage: progress, records, loggers, the profiler and stop requests receive each event of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atrcnas.engine.training import Report, Training


class Listener:
    """Receives the events of the main loop; each method may be left out.

    What a listener returns from :meth:`state` is part of the checkpoint under :attr:`name`.
    """

    name = ""

    def begin(self, training: Training) -> None:
        """The loop starts, or continues from a checkpoint."""

    def before_batch(self, training: Training, validating: bool) -> None:
        """A batch is about to be trained or validated on; may raise :class:`Stopped`."""

    def stepped(self, training: Training) -> None:
        """A step was taken."""

    def logged(self, training: Training, report: Report) -> None:
        """A step was taken whose losses and schedules are logged."""

    def validated(self, training: Training) -> None:
        """``training.scores`` are new."""

    def end(self, training: Training) -> None:
        """The loop ends, whether done, stopped or failed."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs from it."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""


class Listeners(Listener):
    """Passes every event on to several listeners."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.all = list(listeners)

    def begin(self, training: Training) -> None:
        """Tell all."""
        for listener in self.all:
            listener.begin(training)

    def before_batch(self, training: Training, validating: bool) -> None:
        """Tell all."""
        for listener in self.all:
            listener.before_batch(training, validating)

    def stepped(self, training: Training) -> None:
        """Tell all."""
        for listener in self.all:
            listener.stepped(training)

    def logged(self, training: Training, report: Report) -> None:
        """Tell all."""
        for listener in self.all:
            listener.logged(training, report)

    def validated(self, training: Training) -> None:
        """Tell all."""
        for listener in self.all:
            listener.validated(training)

    def end(self, training: Training) -> None:
        """Close all, the last one first."""
        for listener in reversed(self.all):
            listener.end(training)

    def state(self) -> dict[str, Any]:
        """The states by name, of the listeners that have one; those of one name share an entry."""
        found: dict[str, dict[str, Any]] = {}
        for listener in self.all:
            if state := listener.state():
                found.setdefault(listener.name, {}).update(state)
        return found

    def load(self, state: Mapping[str, Any]) -> None:
        """Give each listener the state under its name."""
        for listener in self.all:
            if listener.name in state:
                listener.load(state[listener.name])
