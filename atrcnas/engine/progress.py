"""What is shown during a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from rich import progress as rich_progress
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from atrcnas.engine.listener import Listener
from atrcnas.engine.training import Report, Training
from atrcnas.ground.shown import LINE_EVERY_S


class Progress(Listener):
    """Progress of one stage with losses, scores, times, pace and, in a search, the share of committed pairs.

    Args:
        facts: names and values to show first, see :func:`~atrcnas.engine.briefing.briefing`.
    """

    def __init__(self, facts: Sequence[tuple[str, str]] = ()) -> None:
        self.console = Console(file=sys.stderr, highlight=False)
        self.facts = facts
        self.bar: _Bar | None = None
        self._status = ""

    def begin(self, training: Training) -> None:
        """Show where the stage starts."""
        self.speaks = training.fabric.is_global_zero
        self._first = training.step
        self._began = self._last_line = time.monotonic()
        if self.speaks and self.facts:
            self._brief(training.stage)
        if self.speaks and self.console.is_terminal:
            self.bar = _Bar(self.console)
            self.bar.start()
            self.task = self.bar.add_task(training.stage, total=training.recipe.steps, completed=self._first)

    def end(self, training: Training) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()

    def logged(self, training: Training, report: Report) -> None:
        """Remember losses and committed share."""
        tasks = ", ".join(f"{name} {loss:.3f}" for name, loss in report.tasks.items())
        share = report.totals.get("committed_share")
        committed = "" if share is None else f", committed {share:.0%}"
        self._status = f"loss {report.totals['loss']:.3f} ({tasks}){committed}"

    def stepped(self, training: Training) -> None:
        """Move the bar, or print a line now and then."""
        if self.bar is not None:
            self.bar.status = self._status
            self.bar.update(self.task, completed=training.step)
        elif self.speaks and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._line(training)

    def validated(self, training: Training) -> None:
        """Print the scores."""
        if self.bar is not None:
            self.bar.console.print(f"{training.stage} step {training.step}: {scores_line(training)}")
        elif self.speaks:
            self._line(training, scores_line(training))

    def _brief(self, stage: str) -> None:
        self.console.print(stage)
        if not self.console.is_terminal:
            width = max(len(name) for name, _ in self.facts)
            for name, value in self.facts:
                self.console.print(f"  {name:{width}}  {value}", markup=False, soft_wrap=True)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in self.facts:
            table.add_row(f"  {name}", Text(value))
        self.console.print(table)

    def _line(self, training: Training, scores: str = "") -> None:
        self._last_line = time.monotonic()
        done, total = training.step, training.recipe.steps
        spent = self._last_line - self._began
        pace = (done - self._first) / max(spent, 1e-9)
        times = f"{spent:.0f} s, {(total - done) / max(pace, 1e-9):.0f} s left, {pace_text(pace)}"
        parts = filter(None, (f"{training.stage} {done}/{total}", times, self._status, scores))
        self.console.print(", ".join(parts), soft_wrap=True)


class _Bar(rich_progress.Progress):
    """A bar as wide as the terminal, and below it one line that is cut off rather than wrapped.

    Attributes:
        status: that line.
    """

    def __init__(self, console: Console) -> None:
        self.status = ""
        super().__init__(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=None),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("<"),
            rich_progress.TimeRemainingColumn(),
            _Pace(),
            console=console,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.status, no_wrap=True, overflow="ellipsis")


class _Pace(rich_progress.ProgressColumn):
    """Pace of the last half minute."""

    def render(self, task: rich_progress.Task) -> Text:
        return Text("" if task.speed is None else pace_text(task.speed))


def pace_text(pace: float) -> str:
    """Steps per second in words, or what one step takes if that is more than a second."""
    return f"{pace:.2f} it/s" if pace >= 1 else f"{1 / max(pace, 1e-9):.1f} s/it"


def scores_line(training: Training) -> str:
    """The first figure of every task in one line."""
    parts = []
    for name, figures in training.scores.items():
        key, value = next(iter(figures.items()))
        parts.append(f"{name} {key} {value:.4f}")
    return ", ".join(parts)
