"""What is shown while a run works: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from atrcnas.engine.training import Training

LINE_EVERY_S = 15.0


class ShowProgress(pl.Callback):
    """Progress of one stage with loss, scores, time left and, in a search, the share of committed pairs."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.console = Console(file=sys.stderr)
        self.bar: Progress | None = None
        self._last_line = time.monotonic()
        self._began = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self._began, self._first = time.monotonic(), _training(pl_module).current_step
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[status]}"), console=self.console)
        self.bar.start()
        total = _training(pl_module).recipe.steps
        self.task = self.bar.add_task(self.stage, total=total, completed=self._first, status="")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Advance."""
        training = _training(pl_module)
        if self.bar is not None:
            self.bar.update(self.task, completed=training.current_step, status=self._status(training))
        elif trainer.is_global_zero and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._line(training)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say the scores."""
        training = _training(pl_module)
        if not trainer.is_global_zero:
            return
        if self.bar is not None:
            self.bar.console.print(f"{self.stage} step {training.current_step}: {scores_line(training)}")
        else:
            self._line(training, scores_line(training))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _line(self, training: Training, scores: str = "") -> None:
        self._last_line = time.monotonic()
        done, total = training.current_step, training.recipe.steps
        pace = (self._last_line - self._began) / max(done - self._first, 1)
        left = f"{(total - done) * pace:.0f} s left"
        self.console.print(
            f"{self.stage} {done}/{total}, {left}, {self._status(training)} {scores}".rstrip(), soft_wrap=True
        )

    def _status(self, training: Training) -> str:
        share = getattr(training, "committed_share", None)
        return f"loss {training.last_loss:.3f}" + ("" if share is None else f", committed {share:.0%}")


def scores_line(training: Training) -> str:
    """The first figure of every task in one line."""
    parts = []
    for name, figures in training.scores.items():
        key, value = next(iter(figures.items()))
        parts.append(f"{name} {key} {value:.4f}")
    return ", ".join(parts)


def _training(module: pl.LightningModule) -> Training:
    if not isinstance(module, Training):
        raise TypeError(f"ShowProgress belongs to a Training, got {type(module).__name__}")
    return module
