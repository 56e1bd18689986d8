"""What a run writes while it trains: metrics.csv and logits.csv, in long form, append only."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from atrcnas.ground.files import write_atomically
from atrcnas.sampling.sampler import Sampler

METRIC_COLUMNS = ("step", "stage", "task", "name", "value")
LOGIT_COLUMNS = ("step", "level", "target", "source", "kind", "logit", "probability", "committed")


class Table:
    """A CSV file that grows by rows of steps.

    Args:
        path: the file; created with its header.
        columns: header; the first is ``step``, the number of completed steps.
        first: steps completed before; later rows are dropped on opening, since a resumed run writes them again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], first: int = 0) -> None:
        self.path, self.columns = path, columns
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = pd.DataFrame(columns=list(columns))
        if path.is_file() and first > 0:
            before = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip")
            kept = before[pd.to_numeric(before["step"], errors="coerce") <= first]
        write_atomically(path, lambda temporary: kept.to_csv(temporary, index=False, columns=list(columns)))

    def append(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Add rows and flush them."""
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)


def metric_rows(step: int, stage: str, task: str, values: Mapping[str, float]) -> list[tuple[object, ...]]:
    """Rows of metrics.csv; ``task`` is empty for totals."""
    return [(step, stage, task, name, _short(value)) for name, value in values.items()]


def logit_rows(step: int, sampler: Sampler) -> list[tuple[object, ...]]:
    """Rows of logits.csv: every kind of every pair."""
    logits, probabilities, committed = (
        sampler.logits.tolist(),
        sampler.probabilities().tolist(),
        sampler.committed.tolist(),
    )
    rows: list[tuple[object, ...]] = []
    for i, pair in enumerate(sampler.pairs):
        for kind in sampler.pools[pair]:
            k = sampler.kinds.index(kind)
            place = (step, pair.level, pair.target, pair.source, kind)
            rows.append((*place, _short(logits[i][k]), _short(probabilities[i][k]), int(committed[i])))
    return rows


def _short(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)
