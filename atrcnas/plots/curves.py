"""Losses, schedules and scores over steps, the search and the retraining in the same panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atrcnas.plots.canvas import FAINT, INK, SMALL_SIZE, fit, fold, legend_below, panels, step_axis, styled
from atrcnas.plots.registry import NothingToDraw, known
from atrcnas.runs.tables import Series, read_metrics
from atrcnas.spec.tasks import TASKS

# A phase also differs in dashes and marker, for grey prints.
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072b2", "linestyle": "-", "marker": "o"},
    {"color": "#d55e00", "linestyle": (0, (4, 1.5)), "marker": "s"},
    {"color": "#009e73", "linestyle": (0, (1, 1)), "marker": "^"},
)
_SCHEDULES = {
    "learning_rate": "learning rate",
    "tau": "temperature tau",
    "entropy": "entropy of the choices",
    "committed_share": "share of committed pairs",
}
_PANEL_IN = (2.15, 1.5)
_MANY_POINTS = 20


@dataclass
class _Panel:
    """One small plot: a title and a series for each phase that logged it."""

    title: str
    note: str = ""
    noisy: bool = False
    series: dict[str, Series] = field(default_factory=dict)


def draw_losses(metrics: Mapping[str, Path]) -> Figure:
    """Draw the total and every task's training loss, then the schedules that were logged.

    Args:
        metrics: ``metrics.csv`` by phase, e.g. ``{"search": ..., "retrain": ...}``.

    Raises:
        RunError: a file is missing, malformed or empty, or none has a training loss (``NothingToDraw``).
    """
    losses: dict[str, _Panel] = {}
    schedules: dict[str, _Panel] = {}
    for phase, path in metrics.items():
        for (stage, task, name), series in read_metrics(path).items():
            if stage == "train" and name == "loss":
                losses.setdefault(task, _Panel(f"{task or 'total'} loss", noisy=True)).series[phase] = series
            elif stage == "train" and not task and name in _SCHEDULES:
                schedules.setdefault(name, _Panel(_SCHEDULES[name])).series[phase] = series
    if not losses:
        raise NothingToDraw(
            f"{_names(metrics)}: expected rows 'train, TASK, loss', got none. Plot again after a logged step."
        )
    total_first = sorted(losses, key=bool)
    ordered = [losses[task] for task in total_first] + [schedules[name] for name in _SCHEDULES if name in schedules]
    return _draw("Losses and schedules", ordered, list(metrics))


def draw_scores(metrics: Mapping[str, Path]) -> Figure:
    """Draw each task's validation score, with its name, unit and which way is better.

    Args:
        metrics: as for :func:`draw_losses`.

    Raises:
        RunError: a file is missing, malformed or empty, or none has a validation score (``NothingToDraw``).
    """
    scores: dict[str, _Panel] = {}
    for phase, path in metrics.items():
        for (stage, task, name), series in read_metrics(path).items():
            record = known(TASKS, task, path) if stage == "val" and task else None
            if record and name == record.score:
                unit = f" ({record.unit})" if record.unit else ""
                better = "↑ higher is better" if record.higher_is_better else "↓ lower is better"
                scores.setdefault(task, _Panel(task, f"{name}{unit}  {better}")).series[phase] = series
    if not scores:
        raise NothingToDraw(
            f"{_names(metrics)}: expected rows 'val, TASK, SCORE', got none. Plot again after a validation."
        )
    return _draw("Validation scores", list(scores.values()), list(metrics))


def smoothed(series: Series) -> pd.Series[float]:
    """Mean over a centred window of about a twentieth of the points; gaps stay out, the ends use what there is."""
    reach = max(1, len(series.values) // 40)
    finite = pd.Series(np.where(np.isfinite(series.values), series.values, np.nan))
    return finite.rolling(2 * reach + 1, center=True, min_periods=1).mean()


def _names(metrics: Mapping[str, Path]) -> str:
    return ", ".join(str(path) for path in metrics.values()) or "metrics.csv"


def _draw(title: str, shown: list[_Panel], phases: list[str]) -> Figure:
    columns = next((count for count in (4, 3) if len(shown) % count == 0), min(len(shown), 4))
    styles = {phase: _STYLES[index % len(_STYLES)] for index, phase in enumerate(phases)}
    with styled():
        figure, axes = panels(title, len(shown), columns, _PANEL_IN)
        for index, (place, panel) in enumerate(zip(axes, shown, strict=True)):
            _draw_panel(place, panel, styles)
            if index + columns >= len(shown):
                place.set_xlabel("step")
        legend_below(figure, max(columns * _PANEL_IN[0], 4))
        return fit(figure, _PANEL_IN)


def _draw_panel(axes: Axes, panel: _Panel, styles: Mapping[str, dict[str, Any]]) -> None:
    for phase, series in panel.series.items():
        style, values = {"linewidth": 1.5, "markersize": 3.5, **styles[phase]}, series.values
        if len(series.steps) >= _MANY_POINTS:
            style["marker"] = None
            if panel.noisy:
                raw: dict[str, Any] = {"color": style["color"], "alpha": 0.3, "linewidth": 0.7, "zorder": 1.9}
                axes.plot(series.steps, values, label="before smoothing", **raw)
                values = np.asarray(smoothed(series), dtype=np.float64)
        axes.plot(series.steps, values, label=phase, **style)
    step_axis(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.set_title(fold(panel.title, 28), color=INK, pad=16 if panel.note else 6)
    offset: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 4)}
    axes.annotate(panel.note, (0, 1), size=SMALL_SIZE, color=FAINT, **offset)
