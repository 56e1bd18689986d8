"""Showing on stderr that something long goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 15.0


class Shown:
    """Progress of one long read or computation; gone from the terminal when it is over.

    Args:
        what: is being done.
        counted: :meth:`update` will tell how far it is; otherwise only the time that passes is shown, and elsewhere than on
            a terminal one line at the beginning.
    """

    def __init__(self, what: str, counted: bool = True) -> None:
        self._what, self._began, self._last, self._counted = what, time.monotonic(), time.monotonic(), counted
        console = Console(file=sys.stderr)
        amount = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else (TimeElapsedColumn(),)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), *amount)
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Shown:
        if self._bar is not None:
            self._bar.start()
            self._row = self._bar.add_task(self._what, total=None)
        elif not self._counted:
            print(f"{self._what} ...", file=sys.stderr, flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._row, completed=done, total=total)
        elif now - self._last > LINE_EVERY_S:
            self._last = now
            left = (now - self._began) / max(done, 1) * (total - done)
            print(f"{self._what} {done}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)
