"""How the search made up its mind: the probability of every kind of every pair over steps, and when it settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atrcnas.plots.canvas import (
    FAINT,
    INK,
    LABEL_SIZE,
    SMALL_SIZE,
    TITLE_SIZE,
    add_panel,
    new_figure,
    save,
    step_axis,
    styled,
    text_width,
    wrap,
)
from atrcnas.plots.choices import Choice, read_choices
from atrcnas.plots.shades import blend, ink_on, kind_record, line_colour, line_style
from atrcnas.spec.kinds import KINDS, Kind
from atrcnas.spec.pairs import BASE_LEVEL, Pair

_MARGIN, _PANEL, _GAP, _MAX_NAME = 0.3, (1.3, 0.95), 0.2, 1.7
_SUMMARY_HEIGHT = 1.25


def draw_probabilities(logits_csv: Path) -> dict[int, Figure]:
    """Draw one figure a level: targets as rows, sources as columns, and the mean entropy below.

    Args:
        logits_csv: the search's log.

    Raises:
        RunError: missing, malformed or empty, or a kind that is not registered.
    """
    choices = read_choices(logits_csv)
    for kind in dict.fromkeys(kind for choice in choices.values() for kind in choice.probabilities):
        kind_record(kind, str(logits_csv))
    levels = sorted({pair.level for pair in choices})
    by_level = {level: {pair: choice for pair, choice in choices.items() if pair.level == level} for level in levels}
    sheets = [_Sheet(table, level) for level, table in by_level.items()]
    with styled():
        return {sheet.level: sheet.draw(titled=len(levels) > 1) for sheet in sheets}


def plot_probabilities(logits_csv: Path, out_dir: Path) -> list[Path]:
    """Write ``probabilities.png``, and ``probabilities_level8.png`` and so on for further levels, into ``out_dir``."""
    return [
        save(figure, out_dir / ("probabilities.png" if level == BASE_LEVEL else f"probabilities_level{level}.png"))
        for level, figure in draw_probabilities(logits_csv).items()
    ]


class _Sheet:
    """The figure of one level: measured first, then drawn."""

    def __init__(self, choices: Mapping[Pair, Choice], level: int) -> None:
        self.choices, self.level = choices, level
        self.targets = list(dict.fromkeys(pair.target for pair in choices))
        named = dict.fromkeys(pair.source for pair in choices)
        self.sources = sorted(named, key=[*self.targets, *named].index)
        self.kinds = [kind for kind in KINDS if any(kind.name in choice.probabilities for choice in choices.values())]
        self.rows = {name: wrap(name, _MAX_NAME) for name in self.targets}
        self.columns = {name: wrap(name, _PANEL[0]) for name in self.sources}
        self.left = _MARGIN + 0.7 + max(text_width(line) for lines in self.rows.values() for line in lines)
        self.top = _MARGIN + 0.73 + 0.16 * max(len(lines) for lines in self.columns.values())
        self.side = (len(self.sources) * (_PANEL[0] + _GAP) - _GAP, len(self.targets) * (_PANEL[1] + _GAP) - _GAP)
        self.width = max(self.left + self.side[0] + _MARGIN + 0.1, 7.2)
        self.left += (self.width - self.left - self.side[0] - _MARGIN - 0.1) / 2
        self.summary_top = self.top + self.side[1] + 0.8
        entry = 0.75 + max(text_width(f"{kind.letter}  {kind.name}") for kind in self.kinds)
        self.kind_columns = max(1, min(len(self.kinds), int((self.width - 0.2) // entry)))
        self.height = self.summary_top + _SUMMARY_HEIGHT + 0.95 + 0.2 * -(-len(self.kinds) // self.kind_columns)

    def draw(self, titled: bool) -> Figure:
        """The figure; ``titled`` adds the level to the title."""
        figure = new_figure(self.width, self.height)
        title = "Probability of each kind of context" + (f", level {self.level}" if titled else "")
        self._text(figure, _MARGIN, _MARGIN, title, size=TITLE_SIZE, weight="bold", va="top")
        middle = (self.left + self.side[0] / 2, self.top + self.side[1] / 2)
        names_left = self.left - 0.42 - max(text_width(line) for lines in self.rows.values() for line in lines)
        self._text(figure, middle[0], _MARGIN + 0.36, "source (helps)", ha="center", va="top", color=FAINT)
        upright: dict[str, Any] = {"ha": "center", "va": "center", "rotation": 90}
        self._text(figure, names_left - 0.18, middle[1], "target (predicts)", color=FAINT, **upright)
        first = self._draw_pairs(figure)
        summary = add_panel(figure, self.left, self.summary_top, self.side[0], _SUMMARY_HEIGHT)
        summary.set_xlim(first.get_xlim())
        self._text(figure, self.left, self.summary_top - 0.1, "all pairs", weight="bold", va="bottom")
        _draw_summary(summary, list(self.choices.values()))
        legends = ((_kind_handles(self.kinds), self.kind_columns, 0.28), (_mark_handles(), 3, 0.06))
        for handles, columns, bottom in legends:
            place = (0.5, bottom / self.height)
            figure.legend(handles=handles, loc="lower center", ncols=columns, bbox_to_anchor=place, columnspacing=1.4)
        return figure

    def _draw_pairs(self, figure: Figure) -> Axes:
        grid: list[Axes] = []
        for row, target in enumerate(self.targets):
            top = self.top + row * (_PANEL[1] + _GAP)
            name = "\n".join(self.rows[target])
            self._text(figure, self.left - 0.42, top + _PANEL[1] / 2, name, ha="right", va="center")
            for column, source in enumerate(self.sources):
                left = self.left + column * (_PANEL[0] + _GAP)
                shared: dict[str, Any] = {"sharex": grid[0], "sharey": grid[0]} if grid else {}
                axes = add_panel(figure, left, top, *_PANEL, **shared)
                grid.append(axes)
                _draw_pair(axes, self.choices.get(Pair(target, source, self.level)))
                axes.tick_params(labelleft=column == 0, labelbottom=row == len(self.targets) - 1)
                if row == 0:
                    name = "\n".join(self.columns[source])
                    self._text(figure, left + _PANEL[0] / 2, self.top - 0.08, name, ha="center", va="bottom")
        grid[0].set_ylim(-0.03, 1.03)
        grid[0].set_yticks([0, 0.5, 1])
        step_axis(grid[0], 2)
        return grid[0]

    def _text(self, figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
        figure.text(left / self.width, 1 - top / self.height, text, **{"size": LABEL_SIZE, **options})


def _draw_pair(axes: Axes, choice: Choice | None) -> None:
    if choice is None:
        centred: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, "not searched", size=SMALL_SIZE, color=FAINT, **centred)
        return
    for name, series in choice.probabilities.items():
        kind = KINDS[name]
        marker = "o" if len(series.steps) == 1 else None
        line: dict[str, Any] = {"color": line_colour(kind), "linestyle": line_style(kind), "linewidth": 1.3}
        axes.plot(series.steps, series.values, marker=marker, **line)
    if choice.committed_at is None:
        return
    winner = KINDS[choice.leader]
    last = next(iter(choice.probabilities.values())).steps[-1]
    axes.axvspan(choice.committed_at, last, color=blend(winner.colour, 0.18), linewidth=0, zorder=0)
    axes.axvline(choice.committed_at, color=INK, linewidth=0.8, linestyle=(0, (2, 1.5)))
    badge = {"boxstyle": "circle,pad=0.25", "facecolor": winner.colour, "edgecolor": "white", "linewidth": 0.8}
    options: dict[str, Any] = {"size": SMALL_SIZE, "weight": "bold", "ha": "center", "va": "center", "bbox": badge}
    axes.text(choice.committed_at, 0.55, winner.letter, color=ink_on(winner.colour), **options)


def _draw_summary(axes: Axes, choices: Sequence[Choice]) -> None:
    """Mean entropy and share of settled pairs, both from 0 to 1."""
    entropies = [choice.entropy() for choice in choices]
    steps = np.unique(np.concatenate([series.steps for series in entropies]))
    stacked = np.stack([np.interp(steps, series.steps, series.values) for series in entropies])
    commits = np.array([np.inf if choice.committed_at is None else choice.committed_at for choice in choices])
    axes.plot(steps, stacked.mean(axis=0), color=INK, linewidth=1.6)
    settled = (commits[:, None] <= steps).mean(axis=0)
    axes.plot(steps, settled, color=FAINT, linewidth=1.2, linestyle=(0, (4, 2)), drawstyle="steps-post")
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    step_axis(axes, 6)
    axes.set_xlabel("step", color=FAINT)


def _kind_handles(kinds: Sequence[Kind]) -> list[Line2D]:
    return [
        Line2D([], [], color=line_colour(kind), linestyle=line_style(kind), label=f"{kind.letter}  {kind.name}")
        for kind in kinds
    ]


def _mark_handles() -> list[Line2D]:
    mark: dict[str, Any] = {"marker": "o", "markersize": 9, "markerfacecolor": "white", "markeredgewidth": 0.8}
    line: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (2, 1.5))}
    commit = Line2D([], [], label="pair commits to this kind", **line, **mark)
    entropy = Line2D([], [], color=INK, linewidth=1.6, label="mean entropy, 1 = undecided")
    settled = Line2D([], [], color=FAINT, linewidth=1.2, linestyle=(0, (4, 2)), label="share of committed pairs")
    return [commit, entropy, settled]
