"""How the search made up its mind: the probability of every kind of every pair over steps, and when it settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atrcnas.plots.canvas import FAINT, INK, LABEL_SIZE, SMALL_SIZE, fold, legend_below, new_figure, step_axis, styled
from atrcnas.plots.choices import Choice, read_choices
from atrcnas.plots.registry import known
from atrcnas.plots.shades import blend, ink_on, line_of
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair

_PANEL_IN = (1.5, 1.2)
_LEAST_WIDTH_IN, _SUMMARY_IN = 5.6, 1.9


def draw_probabilities(logits_csv: Path) -> dict[int, Figure]:
    """Draw one figure per level: targets as rows, sources as columns, and the mean entropy below.

    Args:
        logits_csv: the search's log.

    Raises:
        RunError: missing, malformed or empty, or a kind that is not registered.
    """
    choices = read_choices(logits_csv)
    for choice in choices.values():
        for kind in choice.probabilities:
            known(KINDS, str(kind), logits_csv)
    levels = sorted({pair.level for pair in choices})
    return {level: _draw_level(choices, level, titled=len(levels) > 1) for level in levels}


def _draw_level(choices: Mapping[Pair, Choice], level: int, titled: bool) -> Figure:
    chosen = {(pair.target, pair.source): choice for pair, choice in choices.items() if pair.level == level}
    targets = list(dict.fromkeys(target for target, _ in chosen))
    named = dict.fromkeys(source for _, source in chosen)
    sources = sorted(named, key=[*targets, *named].index)
    width = max(len(sources) * _PANEL_IN[0], _LEAST_WIDTH_IN)
    height = len(targets) * _PANEL_IN[1] + 1.6
    title = "Probability of each kind of context" + (f", level {level}" if titled else "")
    with styled():
        figure = new_figure(title, width + 1.6, height + _SUMMARY_IN)
        halves = figure.add_gridspec(2, 1, height_ratios=[height, _SUMMARY_IN])
        table, summary = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
        grid = table.subplots(len(targets), len(sources), squeeze=False, sharex=True, sharey=True)
        for row, target in enumerate(targets):
            grid[row, 0].set_ylabel(fold(target, 18), rotation=0, ha="right", va="center", color=INK)
            for column, source in enumerate(sources):
                _draw_pair(grid[row, column], chosen.get((target, source)))
        for axes, source in zip(grid[0], sources, strict=True):
            axes.set_title(fold(source, 16), loc="center", weight="normal")
        _zero_to_one(grid[0, 0], 2)
        table.suptitle("source (helps)", size=LABEL_SIZE, weight="normal", color=FAINT)
        table.supylabel("target (predicts)", size=LABEL_SIZE, color=FAINT)
        legend_below(table, width + 1)
        _draw_summary(summary.subplots(), list(chosen.values()))
    return figure


def _draw_pair(axes: Axes, choice: Choice | None) -> None:
    if choice is None:
        centred: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, "not searched", size=SMALL_SIZE, color=FAINT, **centred)
        return
    for name, chances in choice.probabilities.items():
        kind = KINDS[str(name)]
        marker = "o" if len(chances) == 1 else None
        axes.plot(chances.index, chances, marker=marker, label=f"{kind.letter}  {kind.name}", **line_of(kind))
    if choice.committed_at is None:
        return
    winner = KINDS[choice.leader]
    tint = blend(winner.colour, 0.18)
    axes.axvspan(choice.committed_at, choice.probabilities.index[-1], color=tint, linewidth=0, zorder=0)
    commit: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (2, 1.5)), "zorder": 1.9}
    axes.axvline(choice.committed_at, label="pair commits", **commit)
    badge = {"boxstyle": "circle,pad=0.25", "facecolor": winner.colour, "edgecolor": "white", "linewidth": 0.8}
    options: dict[str, Any] = {"size": SMALL_SIZE, "weight": "bold", "ha": "center", "va": "center", "bbox": badge}
    axes.text(choice.committed_at, 0.55, winner.letter, color=ink_on(winner.colour), **options)


def _draw_summary(axes: Axes, choices: Sequence[Choice]) -> None:
    """Mean entropy and share of settled pairs, both from 0 to 1."""
    entropies = pd.concat([choice.entropy() for choice in choices], axis=1).sort_index()
    mean = entropies.interpolate("index", limit_direction="both").mean(axis=1)
    commits = np.array([np.inf if choice.committed_at is None else choice.committed_at for choice in choices])
    settled = (commits[:, None] <= mean.index.to_numpy()).mean(axis=0)
    axes.plot(mean.index, mean, color=INK, linewidth=1.6, label="mean entropy, 1 = undecided")
    dashed: dict[str, Any] = {"color": FAINT, "linewidth": 1.2, "linestyle": (0, (4, 2)), "drawstyle": "steps-post"}
    axes.plot(mean.index, settled, label="share of committed pairs", **dashed)
    axes.set(title="all pairs", xlabel="step")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2)
    _zero_to_one(axes, 6)


def _zero_to_one(axes: Axes, num_ticks: int) -> None:
    axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    step_axis(axes, num_ticks)
