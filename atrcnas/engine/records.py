"""What a run writes while it trains: metrics.csv and logits.csv, in long form, append only."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_text
from atrcnas.sampling.sampler import Sampler

METRIC_COLUMNS = ("step", "stage", "task", "name", "value")
LOGIT_COLUMNS = ("step", "level", "target", "source", "kind", "logit", "probability", "committed")


class Table:
    """A CSV file that grows by rows of steps.

    Args:
        path: the file.
        columns: header; the first is ``step``, the number of completed steps.
        writes: whether this process is the one that writes.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], writes: bool = True) -> None:
        self.path, self.columns, self.writes = path, columns, writes

    def begin(self) -> None:
        """Create the file with its header, over an earlier one."""
        if self.writes:
            write_text(self.path, ",".join(self.columns) + "\n")

    def append(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Add rows.

        Raises:
            RunError: the file cannot be written.
        """
        if not self.writes:
            return
        try:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise RunError(f"{self.path}: cannot write ({error.strerror}). Free some space, then --resume.") from error

    def size(self) -> int:
        """Bytes written so far, and now safely on the disk."""
        if not self.writes:
            return 0
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
            return os.fstat(stream.fileno()).st_size

    def cut(self, size: int) -> None:
        """Drop what was written after a checkpoint, since the resumed run writes it again.

        Raises:
            RunError: the file is shorter than it was then.
        """
        if not self.writes:
            return
        found = self.path.stat().st_size if self.path.is_file() else 0
        if found < size:
            raise RunError(
                f"{self.path}: expected at least {size} bytes, as at the checkpoint, got {found}. "
                "Restore the file, or begin anew."
            )
        os.truncate(self.path, size)


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
