"""What every logger offers, and where it logs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Place:
    """Where a logger logs to.

    Attributes:
        run: the run folder.
        name: of the experiment.
        part: of the run: a stage, or ``plots``.
        step: completed steps of the stage; whatever an earlier process logged beyond them is logged again.
        id: what the client of this run called itself before, None for the first.
    """

    run: Path
    name: str
    part: str
    step: int = 0
    id: str | None = None


class Client(Protocol):
    """One open logger; made with a :class:`Place` and the options its record declares.

    Attributes:
        id: what a later process needs to continue the same run; None if it needs nothing.
    """

    id: str | None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures by name, e.g. ``search/train/depth/loss``, after ``step`` completed steps."""
        ...

    def figure(self, name: str, path: Path, step: int) -> None:
        """Log a picture, a PNG file."""
        ...

    def close(self) -> None:
        """Hand over everything."""
        ...
