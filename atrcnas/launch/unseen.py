"""Drawing again what was drawn before."""

from __future__ import annotations

from collections.abc import Callable

REDRAWS = 50

Row = tuple[str, ...]


def unseen(draw: Callable[[], Row], seen: set[Row]) -> Row:
    """A row of kinds that was not drawn before, if one is found; in ``seen`` from then on.

    Args:
        draw: of one row at random.
        seen: the rows that were drawn before.
    """
    for _ in range(REDRAWS):
        row = draw()
        if row not in seen:
            break
    seen.add(row)
    return row
