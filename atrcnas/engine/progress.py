"""What is shown while a run works: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich import progress as rich_progress
from rich.console import Console

from atrcnas.engine.training import Training

LINE_EVERY_S = 15.0


class Progress:
    """Progress of one stage with loss, scores, time left and, in a search, the share of committed pairs.

    Args:
        training: what is watched.
        stage: the word shown.
    """

    def __init__(self, training: Training, stage: str) -> None:
        self.training, self.stage = training, stage
        self.console = Console(file=sys.stderr)
        self.speaks = training.fabric.is_global_zero
        self.bar: rich_progress.Progress | None = None
        self._first = training.step
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
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
            self.task = self.bar.add_task(
                self.stage, total=self.training.recipe.steps, completed=self._first, status=""
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self) -> None:
        """A step was taken."""
        if self.bar is not None:
            self.bar.update(self.task, completed=self.training.step, status=self._status())
        elif self.speaks and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._line()

    def validated(self) -> None:
        """Say the scores."""
        if self.bar is not None:
            self.bar.console.print(f"{self.stage} step {self.training.step}: {scores_line(self.training)}")
        elif self.speaks:
            self._line(scores_line(self.training))

    def _line(self, scores: str = "") -> None:
        self._last_line = time.monotonic()
        done, total = self.training.step, self.training.recipe.steps
        pace = (self._last_line - self._began) / max(done - self._first, 1)
        left = f"{(total - done) * pace:.0f} s left"
        self.console.print(f"{self.stage} {done}/{total}, {left}, {self._status()} {scores}".rstrip(), soft_wrap=True)

    def _status(self) -> str:
        share = getattr(self.training, "committed_share", None)
        return f"loss {self.training.last_loss:.3f}" + ("" if share is None else f", committed {share:.0%}")


def scores_line(training: Training) -> str:
    """The first figure of every task in one line."""
    parts = []
    for name, figures in training.scores.items():
        key, value = next(iter(figures.items()))
        parts.append(f"{name} {key} {value:.4f}")
    return ", ".join(parts)
