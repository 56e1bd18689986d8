"""A bar for work that goes through many items."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(items: Iterable[T], what: str, count: int | None = None) -> Iterable[T]:
    """The same items, with a bar on standard error while they are gone through, if that is a terminal."""
    console = Console(file=sys.stderr)
    return track(items, what, total=count, console=console, transient=True, disable=not console.is_terminal)
