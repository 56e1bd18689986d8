"""What is searched for, and the files of the results with their columns."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Question:
    """The best config of a table of ContextBench, or the best of those within a latency.

    Attributes:
        table: that judges the answers.
        within_latency: only the faster half of its configs are allowed.
    """

    table: str
    within_latency: bool = False

    @property
    def name(self) -> str:
        """In the names of files and sections."""
        words = self.table.removeprefix(TABLES[0]).strip("-"), "latency" if self.within_latency else ""
        return "_".join(["search_quality", *filter(None, words)])

    @property
    def searches(self) -> Path:
        """Searches with a supernet."""
        return RESULTS / f"{self.name}.csv"

    @property
    def lookups(self) -> Path:
        """Searches by trials that the table answered."""
        return RESULTS / f"{self.name.replace('quality', 'lookup')}.csv"

    @property
    def costs(self) -> Path:
        """What kinds cost, as searches within a latency predict it; from `atrcnas costs`."""
        return RESULTS / f"costs_{self.table.replace('-', '_')}_table.csv"


QUESTIONS = (*map(Question, TABLES), Question(TABLES[0], within_latency=True))


def add_question(parser: ArgumentParser) -> None:
    """The arguments that choose one."""
    parser.add_argument("--table", choices=TABLES, default=TABLES[0])
    parser.add_argument("--latency", action="store_true", help="search among the faster half of the configs")


def asked_question(args: Namespace) -> Question:
    """The one that was chosen."""
    return Question(args.table, args.latency)


def scores_of(results: Path) -> Path:
    """Beside the table of searches, what those that score configs gave each."""
    return results.with_name(f"{results.stem}_scores.csv")
