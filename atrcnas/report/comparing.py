"""Several runs side by side, as `atrcnas compare` has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from atrcnas.engine.compare import compare
from atrcnas.engine.compare_table import cells, notes
from atrcnas.ground.errors import AtrcnasError
from atrcnas.runs.folder import RunFolder


class Compared(NamedTuple):
    """A table.

    Attributes:
        head: its columns.
        rows: one per configuration.
        notes: what cannot be compared, which runs are missing, and why there is no table.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def compared(runs: Sequence[Path], baselines: Sequence[Path]) -> Compared | None:
    """Compare those runs that have results; None for a single run."""
    if len(runs) < 2:
        return None
    finished = [run for run in runs if RunFolder(run).results.is_file()]
    missing = [f"{run} has no results yet." for run in runs if run not in finished]
    if not finished:
        return Compared((), (), missing)
    try:
        comparison = compare(finished, [run for run in baselines if run in finished])
    except AtrcnasError as error:
        return Compared((), (), [*missing, str(error)])
    head, *rows = cells(comparison)
    return Compared(head, rows, [*notes(comparison), *missing])
