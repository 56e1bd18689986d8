"""What a stage writes down while it trains: metrics.csv, and of a search logits.csv, budget.csv and contexts.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from atrcnas.engine.listener import Listener
from atrcnas.engine.training import Report, Training
from atrcnas.runs.budget import Budget
from atrcnas.runs.tables import BRANCHES, LOGITS, METRICS, Table, metric_rows
from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.sampling.sampler import Sampler


class Recorder(Listener):
    """Writes tables; a resumed run cuts off what was written after its checkpoint.

    Args:
        tables: that grow with the steps.
    """

    name = "tables"

    def __init__(self, *tables: Table) -> None:
        self.tables = {table.path.name: table for table in tables}

    def begin(self, training: Training) -> None:
        """Create the files of a stage that starts."""
        if training.step == 0:
            for table in self.tables.values():
                table.begin()

    def state(self) -> dict[str, Any]:
        """The size of every table."""
        return {name: table.size() for name, table in self.tables.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Cut the tables to the size they had."""
        for name, table in self.tables.items():
            table.cut(int(state[name]))


class MetricsRecorder(Recorder):
    """Losses, schedules and scores into metrics.csv; rows carry the number of completed steps."""

    def __init__(self, path: Path, writes: bool) -> None:
        self.table = Table(path, METRICS, writes)
        super().__init__(self.table)

    def logged(self, training: Training, report: Report) -> None:
        """Losses and schedules."""
        rows = metric_rows(report.step, "train", "", report.totals)
        for task, loss in report.tasks.items():
            factor = {"factor": report.factors[task]} if task in report.factors else {}
            rows += metric_rows(report.step, "train", task, {"loss": loss, **factor})
        self.table.append(rows)

    def validated(self, training: Training) -> None:
        """Scores."""
        rows = metric_rows(training.step, "val", "", {"selection": training.selection})
        for task, figures in training.scores.items():
            rows += metric_rows(training.step, "val", task, figures)
        self.table.append(rows)


class ChoiceRecorder(Recorder):
    """Logits into logits.csv, the budget into budget.csv, the current choice into contexts.yaml.

    Args:
        sampler: of the search.
        logits: path of logits.csv.
        budget: of the search.
        save_contexts: writes contexts.yaml.
    """

    def __init__(self, sampler: Sampler, logits: Path, budget: Budget, save_contexts: Callable[[], None]) -> None:
        self.sampler, self.budget, self.save_contexts = sampler, budget, save_contexts
        self.logits = Table(logits, LOGITS, budget.table.writes)
        super().__init__(self.logits, budget.table)

    def load(self, state: Mapping[str, Any]) -> None:
        """Cut the tables, and count on from the last row of the budget."""
        super().load(state)
        self.budget.go_on()

    def logged(self, training: Training, report: Report) -> None:
        """Every kind of every pair."""
        self.logits.append(logit_rows(report.step, self.sampler))

    def validated(self, training: Training) -> None:
        """The current choice and its score."""
        self.budget.add(1, training.step, training.selection)
        if self.logits.writes:
            self.save_contexts()


class BranchRecorder(Recorder):
    """Logits of a search of branches into branches.csv.

    Args:
        sampler: of the copies.
        path: of the table.
        writes: whether this process is the one that writes.
    """

    def __init__(self, sampler: BranchSampler, path: Path, writes: bool) -> None:
        self.sampler, self.table = sampler, Table(path, BRANCHES, writes)
        super().__init__(self.table)

    def logged(self, training: Training, report: Report) -> None:
        """Every copy at every point, for every task."""
        logits, probabilities = self.sampler.logits.tolist(), self.sampler.probabilities().tolist()
        self.table.append(
            (report.step, point, task, copy, logits[at][row][copy], probabilities[at][row][copy])
            for at, point in enumerate(self.sampler.points)
            for row, task in enumerate(self.sampler.tasks)
            for copy in range(len(self.sampler.tasks))
        )


def logit_rows(step: int, sampler: Sampler) -> list[tuple[object, ...]]:
    """Rows of logits.csv: every kind of every pair."""
    logits, probabilities = sampler.logits.tolist(), sampler.probabilities().tolist()
    committed = sampler.committed.tolist()
    rows: list[tuple[object, ...]] = []
    for i, pair in enumerate(sampler.pairs):
        for kind in sampler.pools[pair]:
            k = sampler.kinds.index(kind)
            place = (step, pair.level, pair.target, pair.source, kind)
            rows.append((*place, logits[i][k], probabilities[i][k], int(committed[i])))
    return rows
