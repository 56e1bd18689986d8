"""The files of the results: where they are, and their columns."""

from __future__ import annotations

from pathlib import Path

from atrcnas.runs.tables import Columns

RESULTS, LOOKUPS = Path("analysis/results/search_quality.csv"), Path("analysis/results/search_lookup.csv")
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


def scores_of(results: Path) -> Path:
    """Beside the table of searches, what those that score configs gave each."""
    return results.with_name(f"{results.stem}_scores.csv")
