"""What is shown during a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from rich import progress as rich_progress
from rich.console import Console

from atrcnas.engine.listener import Listener
from atrcnas.engine.training import Report, Training

LINE_EVERY_S = 15.0


class Progress(Listener):
    """Progress of one stage with loss, scores, time left and, in a search, the share of committed pairs."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self.bar: rich_progress.Progress | None = None
        self._status = ""

    def begin(self, training: Training) -> None:
        """Show where the stage starts."""
        self.speaks = training.fabric.is_global_zero
        self._first = training.step
        self._began = self._last_line = time.monotonic()
        if self.speaks and self.console.is_terminal:
            columns = (
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.MofNCompleteColumn(),
                rich_progress.TimeRemainingColumn(),
                rich_progress.TextColumn("{task.fields[status]}"),
            )
            self.bar = rich_progress.Progress(*columns, console=self.console)
            self.bar.start()
            self.task = self.bar.add_task(training.stage, total=training.recipe.steps, completed=self._first, status="")

    def end(self, training: Training) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()

    def logged(self, training: Training, report: Report) -> None:
        """Remember loss and committed share."""
        share = report.totals.get("committed_share")
        self._status = f"loss {report.totals['loss']:.3f}" + ("" if share is None else f", committed {share:.0%}")

    def stepped(self, training: Training) -> None:
        """Move the bar, or print a line now and then."""
        if self.bar is not None:
            self.bar.update(self.task, completed=training.step, status=self._status)
        elif self.speaks and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._line(training)

    def validated(self, training: Training) -> None:
        """Print the scores."""
        if self.bar is not None:
            self.bar.console.print(f"{training.stage} step {training.step}: {scores_line(training)}")
        elif self.speaks:
            self._line(training, scores_line(training))

    def _line(self, training: Training, scores: str = "") -> None:
        self._last_line = time.monotonic()
        done, total = training.step, training.recipe.steps
        pace = (self._last_line - self._began) / max(done - self._first, 1)
        left = f"{(total - done) * pace:.0f} s left"
        self.console.print(f"{training.stage} {done}/{total}, {left}, {self._status} {scores}".rstrip(), soft_wrap=True)


def scores_line(training: Training) -> str:
    """The first figure of every task in one line."""
    parts = []
    for name, figures in training.scores.items():
        key, value = next(iter(figures.items()))
        parts.append(f"{name} {key} {value:.4f}")
    return ", ".join(parts)
