"""How the search made up its mind: the probability of every kind of every pair over steps, and when it settled."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from atrcnas.ground.errors import RunError
from atrcnas.plots.canvas import FAINT, INK, SMALL_SIZE, legend_below, new_figure, step_axis, styled
from atrcnas.plots.registry import known
from atrcnas.runs.tables import LOGITS, read_some
from atrcnas.spec.kinds import KINDS

_COLUMNS = {name: kind for name, kind in LOGITS.items() if name != "logit"}
_SLACK = 1e-6
_PANEL_IN, _LEGEND_IN, _SUMMARY_IN = (1.8, 1.4), 1.2, 2.2
_LINES = ("-", "--", "-.", ":")


def draw_probabilities(logits_csv: Path) -> dict[int, Figure]:
    """Draw one figure per level: targets as rows, sources as columns, and the mean entropy below.

    Args:
        logits_csv: the search's log; the last row of a step counts, since a resumed run logs some twice.

    Raises:
        RunError: missing, malformed or empty, a probability outside of [0, 1], or a kind that is not registered.
    """
    levels = read_probabilities(logits_csv).groupby("level")
    return {int(str(level)): _draw_level(rows, f", level {level}" * (len(levels) > 1)) for level, rows in levels}


def read_probabilities(logits_csv: Path) -> pd.DataFrame:
    """The rows of a search's log, once for each step, pair and kind; see :func:`draw_probabilities`."""
    table = read_some(logits_csv, _COLUMNS)
    for line, got in table["probability"][~table["probability"].between(-_SLACK, 1 + _SLACK)].items():
        raise RunError(f"{logits_csv}: line {line}: probability: expected 0 to 1, got {got:g}. Restore the file.")
    for kind in table["kind"].unique():
        known(KINDS, kind, logits_csv)
    return table.drop_duplicates(["step", "level", "target", "source", "kind"], keep="last")


def _draw_level(rows: pd.DataFrame, which: str) -> Figure:
    pairs = {(str(target), str(source)): found for (target, source), found in rows.groupby(["target", "source"])}
    targets, named = list(rows["target"].unique()), list(rows["source"].unique())
    sources = sorted(named, key=[*targets, *named].index)
    width = max(len(sources) * _PANEL_IN[0] + 1.2, 7)
    heights = [len(targets) * _PANEL_IN[1] + _LEGEND_IN, _SUMMARY_IN]
    with styled():
        figure = new_figure(f"Probability of each kind of context{which}", width, sum(heights))
        table, summary = figure.subfigures(2, 1, height_ratios=heights)  # type: ignore[misc]
        table.suptitle("source (helps)", size="medium", weight="normal", color=FAINT)
        table.supylabel("target (predicts)", size="medium", color=FAINT)
        grid = table.subplots(len(targets), len(sources), squeeze=False, sharex=True, sharey=True)
        for row, target in zip(grid, targets, strict=True):
            row[0].set_ylabel(fill(target, 18), rotation=0, ha="right", va="center", color=INK)
            for axes, above, source in zip(row, grid[0], sources, strict=True):
                above.set_title(fill(source, 16), loc="center")
                _draw_pair(axes, pairs.get((target, source)))
        _zero_to_one(grid[0, 0], 3)
        legend_below(table, width)
        _draw_summary(summary.subplots(), rows)
    return figure


def _draw_pair(axes: Axes, rows: pd.DataFrame | None) -> None:
    centred: dict[str, Any] = {"size": SMALL_SIZE, "ha": "center", "va": "center"}
    if rows is None:
        axes.text(0.5, 0.5, "not searched", color=FAINT, transform=axes.transAxes, **centred)
        return
    for name, found in rows.groupby("kind", sort=False):
        kind, marker = KINDS[str(name)], "o" if len(found) == 1 else ""
        style = _LINES[KINDS.names.index(kind.name) % len(_LINES)] + marker
        colour = [0.8 * part for part in to_rgb(kind.colour)]  # the palest would vanish as a thin line
        axes.plot(found["step"], found["probability"], style, color=colour, label=f"{kind.letter}  {kind.name}")
    settled = rows["step"][rows["committed"] > 0]
    if len(settled):
        last = rows[rows["step"] == rows["step"].max()]
        winner = KINDS[last.loc[last["probability"].idxmax(), "kind"]]
        axes.axvline(settled.min(), color=INK, linewidth=0.8, linestyle=":", label="pair commits")
        badge = {"boxstyle": "circle", "facecolor": "white", "edgecolor": winner.colour}
        axes.text(settled.min(), 0.55, winner.letter, bbox=badge, **centred)


def decidedness(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Mean entropy as a share of the largest possible (0 where a pair has one kind only) and share of settled pairs."""
    pair = ["level", "target", "source"]
    kinds = rows.groupby(pair)["kind"].transform("nunique").clip(lower=2)
    chances = rows["probability"].clip(1e-12, 1)
    entropy = rows.assign(entropy=-chances * np.log(chances) / np.log(kinds)).groupby([*pair, "step"])["entropy"].sum()
    settled = rows.groupby([*pair, "step"])["committed"].max()
    mean, share = (values.unstack("step").ffill(axis=1).mean() for values in (entropy, settled))
    return mean, share


def _draw_summary(axes: Axes, rows: pd.DataFrame) -> None:
    mean, share = decidedness(rows)
    axes.plot(mean.index, mean, color=INK, label="mean entropy, 1 = undecided")
    axes.plot(share.index, share, "--", color=FAINT, drawstyle="steps-post", label="share of committed pairs")
    axes.set(title="all pairs", xlabel="step")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2)
    _zero_to_one(axes, 6)


def _zero_to_one(axes: Axes, num_ticks: int) -> None:
    axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    step_axis(axes, num_ticks)
