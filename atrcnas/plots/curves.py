"""Losses, schedules and scores over steps, the search and the retraining in the same panels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atrcnas.ground.registry import Registry
from atrcnas.plots.canvas import legend_below, panels, step_axis, styled
from atrcnas.plots.registry import NothingToDraw, known
from atrcnas.runs.tables import Series, read_metrics
from atrcnas.spec.tasks import TASKS, Task

Key = tuple[str, str, str]
_SCHEDULES = {
    "learning_rate": "learning rate",
    "tau": "temperature tau",
    "entropy": "entropy of the choices",
    "committed_share": "share of committed pairs",
}
_LINES, _MARKERS = ("-", "--", ":"), ("o", "s", "^")
_PANEL_IN = (2.9, 2.0)
_MANY_POINTS = 20


class Panels(NamedTuple):
    """What is shown of metrics files.

    Attributes:
        titles: by (stage, task, name), one panel each.
        phases: phase -> its quantities, by the same keys.
    """

    titles: Mapping[Key, str]
    phases: Mapping[str, Mapping[Key, Series]]


def loss_panels(metrics: Mapping[str, Path]) -> Panels:
    """The total and every task's training loss, then the schedules that were logged; see :func:`draw_losses`."""
    phases = {phase: read_metrics(path) for phase, path in metrics.items()}
    keys = dict.fromkeys(key for found in phases.values() for key in found)
    titles = {key: f"{key[1] or 'total'} loss" for key in keys if key[0] == "train" and key[2] == "loss"}
    if not titles:
        raise _nothing(metrics, "train, TASK, loss", "logged step")
    titles = dict(sorted(titles.items(), key=lambda item: bool(item[0][1])))
    schedules = {("train", "", name): title for name, title in _SCHEDULES.items()}
    return Panels(titles | {k: v for k, v in schedules.items() if k in keys}, phases)


def score_panels(metrics: Mapping[str, Path], table: Registry[Task] = TASKS) -> Panels:
    """Each task's validation score, with its name, unit and which way is better; see :func:`draw_scores`."""
    phases = {phase: read_metrics(path) for phase, path in metrics.items()}
    titles: dict[Key, str] = {}
    for phase, found in phases.items():
        for stage, task, name in found:
            record = known(table, task, metrics[phase]) if stage == "val" and task else None
            if record and name == record.score:
                unit = f" ({record.unit})" if record.unit else ""
                better = "↑ higher is better" if record.higher_is_better else "↓ lower is better"
                titles[stage, task, name] = f"{fill(task, 28)}\n{name}{unit}  {better}"
    if not titles:
        raise _nothing(metrics, "val, TASK, SCORE", "validation")
    return Panels(titles, phases)


def draw_losses(metrics: Mapping[str, Path]) -> Figure:
    """Draw the total and every task's training loss, then the schedules that were logged.

    Args:
        metrics: ``metrics.csv`` by phase, e.g. ``{"search": ..., "retrain": ...}``.

    Raises:
        RunError: a file is missing, malformed or empty, or none has a training loss (``NothingToDraw``).
    """
    return _draw("Losses and schedules", *loss_panels(metrics))


def draw_scores(metrics: Mapping[str, Path], table: Registry[Task] = TASKS) -> Figure:
    """Draw each task's validation score, with its name, unit and which way is better.

    Args:
        metrics: as for :func:`draw_losses`.
        table: of the tasks.

    Raises:
        RunError: a file is missing, malformed or empty, or none has a validation score (``NothingToDraw``).
    """
    return _draw("Validation scores", *score_panels(metrics, table))


def _nothing(metrics: Mapping[str, Path], rows: str, event: str) -> NothingToDraw:
    names = ", ".join(map(str, metrics.values())) or "metrics.csv"
    return NothingToDraw(f"{names}: expected rows '{rows}', got none. Plot again after a {event}.")


def _draw(title: str, titles: Mapping[Key, str], phases: Mapping[str, Mapping[Key, Series]]) -> Figure:
    columns = 3 if len(titles) in (3, 5, 6, 9) else min(len(titles), 4)
    with styled():
        figure, axes = panels(title, len(titles), columns, _PANEL_IN)
        for panel, (key, heading) in zip(axes, titles.items(), strict=True):
            panel.set_title("\n".join(fill(line, 36) for line in heading.splitlines()))
            for index, (phase, found) in enumerate(phases.items()):
                if key in found:
                    _draw_series(panel, found[key], phase, index, noisy=key[2] == "loss")
            step_axis(panel)
        for panel in axes[-columns:]:
            panel.set_xlabel("step")
        legend_below(figure, figure.get_figwidth())
    return figure


def _draw_series(axes: Axes, series: Series, phase: str, index: int, noisy: bool) -> None:
    colour, many, values = f"C{index}", len(series.steps) >= _MANY_POINTS, pd.Series(series.values)
    if noisy and many:
        axes.plot(series.steps, values, color=colour, alpha=0.3, linewidth=0.7, label="before smoothing")
        values = smoothed(values)
    marker = None if many else _MARKERS[index % 3]
    axes.plot(series.steps, values, color=colour, linestyle=_LINES[index % 3], marker=marker, label=phase)


def smoothed(values: pd.Series[float]) -> pd.Series[float]:
    """The mean over about a twentieth of the points around each; a diverged one is left out."""
    window = 2 * max(1, len(values) // 40) + 1
    return values.where(np.isfinite(values)).rolling(window, center=True, min_periods=1).mean()
