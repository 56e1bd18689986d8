"""The files of the results: where they are, and their columns."""

from __future__ import annotations

from pathlib import Path

from analysis.places import RESULTS
from atrcnas.runs.tables import Columns

TABLES = ("rooms-small", "rooms-small-wide")
UNIT = "training"  # in the column `method`: not a search but one training, to measure costs by
COLUMNS: Columns = {
    "method": str,
    "seed": int,
    "steps": int,
    "seconds": float,
    "config": str,
    "committed": int,
    "undecided": int,
}
SCORES: Columns = {"method": str, "seed": int, "config": str, "semseg": float, "depth": float, "score": float}


def results_of(table: str) -> Path:
    """The searches that a table of ContextBench judges."""
    return _file("search_quality", table)


def lookups_of(table: str) -> Path:
    """The searches by trials that a table of ContextBench answered."""
    return _file("search_lookup", table)


def _file(stem: str, table: str) -> Path:
    suffix = "" if table == TABLES[0] else f"_{table.removeprefix(TABLES[0] + '-')}"
    return RESULTS / f"{stem}{suffix}.csv"


def scores_of(results: Path) -> Path:
    """Beside the table of searches, what those that score configs gave each."""
    return results.with_name(f"{results.stem}_scores.csv")
