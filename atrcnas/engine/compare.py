"""Several finished runs side by side: seeds of one configuration as mean and spread, Delta_m against a baseline."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.results import Finished, read_finished
from atrcnas.spec.tasks import Task


@dataclass(frozen=True)
class Figure:
    """A mean over runs and, if there are two or more, the sample standard deviation."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        name: what its run folders are called.
        runs: the run folders, one per seed.
        steps: of the training that is scored.
        scores: task -> score, in the score's unit.
        delta_m: percent, better is positive; None without a baseline.
        parameters: number of them.
        multiply_adds: for one image of ``image_size``.
        latency_ms: median of one image's forward pass.
        image_size: height and width.
        timed_on: device and threads of the latency, one entry per kind found.
        chose_on_report: some run kept the checkpoint that was best on the split that is reported.
    """

    name: str
    runs: tuple[Path, ...]
    steps: int
    scores: Mapping[str, Figure]
    delta_m: Figure | None
    parameters: Figure
    multiply_adds: Figure
    latency_ms: Figure
    image_size: tuple[int, int]
    timed_on: frozenset[str]
    chose_on_report: bool


@dataclass(frozen=True)
class Comparison:
    """Rows and what their columns mean.

    Attributes:
        rows: one per configuration, in the order given; baselines that were not among the runs come first.
        tasks: every task that some row has.
        figures: task -> name of its score.
    """

    rows: tuple[Row, ...]
    tasks: Mapping[str, Task]
    figures: Mapping[str, str]


def compare(runs: Sequence[Path], baselines: Sequence[Path] = ()) -> Comparison:
    """Read runs and group those that differ only in the seed.

    Args:
        runs: run folders.
        baselines: run folders that Delta_m compares with: multi-task networks, or one single-task network per task;
            where several have a task, their mean.

    Raises:
        RunError: a run has no results or broken ones, or the baselines lack a task.
    """
    paths = list(dict.fromkeys(Path(os.path.normpath(run)) for run in [*baselines, *runs]))
    finished = {path: read_finished(path) for path in paths}
    reference = _reference([finished[Path(os.path.normpath(run))] for run in baselines]) if baselines else None
    groups: dict[str, list[Finished]] = {}
    for one in finished.values():
        groups.setdefault(one.key, []).append(one)
    names = _names([[one.path for one in group] for group in groups.values()])
    rows = [_row(name, group, reference) for name, group in zip(names, groups.values(), strict=True)]
    tasks = {name: task for one in finished.values() for name, task in one.tasks.items()}
    figures = {name: figure for one in finished.values() for name, figure in one.figures.items()}
    return Comparison(tuple(rows), tasks, figures)


def _reference(baselines: Iterable[Finished]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for one in baselines:
        for name, score in one.scores.items():
            scores.setdefault(name, []).append(score)
    return {name: statistics.fmean(values) for name, values in scores.items()}


def _row(name: str, group: Sequence[Finished], reference: Mapping[str, float] | None) -> Row:
    first = group[0]
    return Row(
        name=name,
        runs=tuple(one.path for one in group),
        steps=first.steps,
        scores={task: _figure(one.scores[task] for one in group) for task in first.scores},
        delta_m=None if reference is None else _figure(_gain(one, reference) for one in group),
        parameters=_figure(one.costs.parameters for one in group),
        multiply_adds=_figure(one.costs.multiply_adds for one in group),
        latency_ms=_figure(one.costs.latency_ms.median for one in group),
        image_size=(first.costs.image_size[0], first.costs.image_size[1]),
        timed_on=frozenset(f"{one.costs.latency_ms.device}, {one.costs.latency_ms.threads} threads" for one in group),
        chose_on_report=any(one.chose_on_report for one in group),
    )


def _gain(one: Finished, reference: Mapping[str, float]) -> float:
    try:
        return multi_task_gain(one.scores, reference, one.tasks.values())
    except ConfigError as error:
        raise RunError(f"--baseline: {error} {one.path} has it; give a baseline run that does too.") from error


def _figure(values: Iterable[float]) -> Figure:
    found = list(values)
    return Figure(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None)


def _names(groups: Sequence[Sequence[Path]]) -> list[str]:
    """What each group's folders are called, or how their names begin; the path of the first where that is taken."""
    names = [_shared([path.name for path in paths]) or str(paths[0]) for paths in groups]
    return [str(paths[0]) if names.count(name) > 1 else name for name, paths in zip(names, groups, strict=True)]


def _shared(words: Sequence[str]) -> str:
    first, last = min(words), max(words)
    if first == last:
        return first
    length = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first)
    )
    return first[:length].rstrip("-_.")
