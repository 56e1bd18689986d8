"""A bar for work that goes through many items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from atrcnas.ground.shown import Shown

T = TypeVar("T")


def shown(items: Iterable[T], what: str, count: int | None = None) -> Iterator[T]:
    """The same items, with progress on standard error while they are gone through.

    Args:
        items: any number.
        what: is done with them.
        count: how many there are, if that is known.
    """
    with Shown(what) as progress:
        for done, item in enumerate(items, start=1):
            yield item
            progress.update(done, max(done, count or 0))
