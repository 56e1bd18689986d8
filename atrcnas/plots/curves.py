"""Losses, schedules and scores over steps, the search and the retraining in the same panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots import canvas
from atrcnas.plots.canvas import FAINT, INK, LABEL_SIZE, SMALL_SIZE, TITLE_SIZE, LineStyle, save, wrap
from atrcnas.runs.tables import Series, read_metrics
from atrcnas.spec.tasks import TASKS

# A phase also differs in line style and marker, for grey prints.
_COLOURS, _MARKERS = ("#0072b2", "#d55e00", "#009e73"), ("o", "s", "^")
_DASHES: tuple[LineStyle, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
_SCHEDULES = {
    "learning_rate": "learning rate",
    "tau": "temperature tau",
    "entropy": "entropy of the choices",
    "committed_share": "share of committed pairs",
}
_MARGIN, _LEFT, _WIDTH, _HEIGHT, _X_GAP, _Y_GAP = 0.3, 0.42, 2.15, 1.5, 0.62, 0.85
_SMOOTHED_FROM = 20


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
        RunError: a file is missing, malformed or empty, or none has a training loss.
    """
    panels: dict[str, _Panel] = {}
    schedules: dict[str, _Panel] = {}
    for phase, path in metrics.items():
        for (stage, task, name), series in read_metrics(path).items():
            if stage == "train" and name == "loss":
                panels.setdefault(task, _Panel(f"{task or 'total'} loss", noisy=True)).series[phase] = series
            elif stage == "train" and not task and name in _SCHEDULES:
                schedules.setdefault(name, _Panel(_SCHEDULES[name])).series[phase] = series
    if not panels:
        raise RunError(
            f"{_names(metrics)}: expected rows 'train, TASK, loss', got none. Plot again after a logged step."
        )
    total = [panels.pop("")] if "" in panels else []
    ordered = [*total, *panels.values(), *(schedules[name] for name in _SCHEDULES if name in schedules)]
    return _draw("Losses and schedules", ordered, list(metrics), smooth=True)


def draw_scores(metrics: Mapping[str, Path]) -> Figure:
    """Draw each task's validation score, with its name, unit and which way is better.

    Args:
        metrics: as for :func:`draw_losses`.

    Raises:
        RunError: a file is missing, malformed or empty, or none has a validation score.
    """
    panels = _score_panels(metrics)
    if not panels:
        raise RunError(f"{_names(metrics)}: expected rows 'val, TASK, SCORE', got none. Plot again after a validation.")
    return _draw("Validation scores", panels, list(metrics), smooth=False)


def has_scores(metrics: Mapping[str, Path]) -> bool:
    """Whether any phase has validated yet."""
    return bool(_score_panels(metrics))


def plot_losses(metrics: Mapping[str, Path], path: Path) -> Path:
    """Write :func:`draw_losses` to ``path``."""
    return save(draw_losses(metrics), path)


def plot_scores(metrics: Mapping[str, Path], path: Path) -> Path:
    """Write :func:`draw_scores` to ``path``."""
    return save(draw_scores(metrics), path)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a centred window of about a twentieth of the points; gaps stay out, the ends use what there is."""
    reach = max(1, len(values) // 40)
    finite = np.isfinite(values)
    window = np.ones(2 * reach + 1)
    sums = np.convolve(np.where(finite, values, 0.0), window)[reach:-reach]
    counts = np.convolve(finite.astype(np.float64), window)[reach:-reach]
    mean: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
    return mean


def _score_panels(metrics: Mapping[str, Path]) -> list[_Panel]:
    panels: dict[str, _Panel] = {}
    for phase, path in metrics.items():
        for (stage, task, name), series in read_metrics(path).items():
            if stage != "val" or not task:
                continue
            try:
                record = TASKS[task]
            except ConfigError as error:
                raise RunError(f"{path}: {error} If a plugin defines it, load the plugin first.") from error
            if name == record.score:
                unit = f" ({record.unit})" if record.unit else ""
                better = "↑ higher is better" if record.higher_is_better else "↓ lower is better"
                panels.setdefault(task, _Panel(task, f"{record.score}{unit}  {better}")).series[phase] = series
    return list(panels.values())


def _names(metrics: Mapping[str, Path]) -> str:
    return ", ".join(str(path) for path in metrics.values()) or "metrics.csv"


def _draw(title: str, panels: list[_Panel], phases: list[str], smooth: bool) -> Figure:
    columns = next((count for count in (4, 3) if len(panels) % count == 0), min(len(panels), 4))
    rows = -(-len(panels) // columns)
    lines = {id(panel): wrap(panel.title, _WIDTH, weight="bold") for panel in panels}
    title_height = 0.16 * max(len(broken) for broken in lines.values()) + 0.2
    step = (_WIDTH + _X_GAP, _HEIGHT + _Y_GAP + title_height - 0.36)
    inner = max(_LEFT + columns * step[0] - _X_GAP, 4.2)
    top = _MARGIN + 0.3 + title_height
    height = top + rows * step[1] - (step[1] - _HEIGHT) + 0.95
    with canvas.styled():
        figure = canvas.new_figure(inner + 2 * _MARGIN, height)
        corner = (_MARGIN / (inner + 2 * _MARGIN), 1 - _MARGIN / height)
        figure.text(*corner, title, size=TITLE_SIZE, weight="bold", va="top")
        for index, panel in enumerate(panels):
            row, column = divmod(index, columns)
            axes = canvas.add_panel(figure, _MARGIN + _LEFT + column * step[0], top + row * step[1], _WIDTH, _HEIGHT)
            _draw_panel(axes, panel, phases, smooth)
            _head(axes, lines[id(panel)], panel.note)
            if index + columns >= len(panels):
                axes.set_xlabel("step", color=FAINT)
        handles = _handles(phases, smooth)
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), bbox_to_anchor=(0.5, 0.12 / height))
    return figure


def _draw_panel(axes: Axes, panel: _Panel, phases: list[str], smooth: bool) -> None:
    for phase, series in panel.series.items():
        place = phases.index(phase) % len(_COLOURS)
        line: dict[str, Any] = {"color": _COLOURS[place], "linestyle": _DASHES[place], "linewidth": 1.5}
        if panel.noisy and len(series.steps) >= _SMOOTHED_FROM:
            axes.plot(series.steps, series.values, color=_COLOURS[place], alpha=0.25, linewidth=0.7)
            axes.plot(series.steps, smoothed(series.values), **line)
            continue
        marker = _MARKERS[place] if not smooth or len(series.steps) < _SMOOTHED_FROM else None
        axes.plot(series.steps, series.values, marker=marker, markersize=3.5, **line)
    canvas.step_axis(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _head(axes: Axes, title: list[str], note: str) -> None:
    """Name in bold, below it what is drawn and which way is better, both above the axes."""
    options: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    name, above = "\n".join(title), (0, 16 if note else 5)
    axes.annotate(name, (0, 1), xytext=above, size=LABEL_SIZE, weight="bold", color=INK, **options)
    if note:
        axes.annotate(note, (0, 1), xytext=(0, 4), size=SMALL_SIZE, color=FAINT, **options)


def _handles(phases: list[str], smooth: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, marker=None if smooth else marker, markersize=3.5, label=phase)
        for phase, colour, dashes, marker in zip(phases, _COLOURS, _DASHES, _MARKERS, strict=False)
    ]
    raw = Line2D([], [], color=FAINT, alpha=0.35, linewidth=0.7, label="before smoothing")
    return [*handles, raw] if smooth else handles
