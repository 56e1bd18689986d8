"""Regret against cost, of every method in one figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from atrcnas.plots import canvas

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLES = {
    **{"soft": ("#4b2e63", "o"), "paired": ("#b22222", "s"), "rows": ("#1b7837", "^"), "darts": ("#8c510a", "D")},
    **{"sampled": ("#e7298a", "v"), "oneshot-random": ("#666666", "P")},
}
APART = 1.04  # factor between the places of points on the axis of cost, where several methods cost the same
NOTE = (
    "points: median, lowest and highest (moved apart a little along the cost); lines: median; band: quartiles of random"
)
BAND = "random"  # those of the other strategies by trials would cover each other
LIKE_BAND = "evolution"  # draws its first configs as random does, and would cover it


def draw(title: str, searches: pd.DataFrame, lookups: pd.DataFrame, floor: float) -> Figure:
    """Searches with a supernet as points with their range, those by trials as lines.

    Args:
        title: of the figure.
        searches: of :func:`results.supernets`.
        lookups: of :func:`results.lookups`.
        floor: regret of choosing among all configs by the rows of one seed.
    """
    with canvas.styled():
        figure, (axes,) = canvas.panels(title, 1, 1, (8, 4.2))
        _draw_lookups(axes, lookups)
        _draw_supernets(axes, searches)
        axes.axhline(floor, color=canvas.INK, lw=0.8, ls=":", label="best of all by the rows of one seed")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(0.55, 92)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("cost, trainings of full length")
        axes.set_ylabel("regret, points of Delta_m")
        canvas.legend_below(figure, 8, note=NOTE)
    return figure


def _draw_lookups(axes: Axes, lookups: pd.DataFrame) -> None:
    for colour, (name, rows) in zip(LINES, lookups.groupby("method", sort=False), strict=False):
        style = "--" if name == LIKE_BAND else "-"
        axes.plot(rows["cost"], rows["regret_50"], style, color=colour, lw=1.4, label=str(name))
        if name == BAND:
            axes.fill_between(rows["cost"], rows["regret_25"], rows["regret_75"], color=colour, alpha=0.12, lw=0)


def _draw_supernets(axes: Axes, searches: pd.DataFrame) -> None:
    for place, (name, (colour, marker)) in enumerate(STYLES.items()):
        rows = searches[searches["method"] == name]
        if rows.empty:
            continue
        cost, middle = rows["cost"].median() * APART ** (place - (len(STYLES) - 1) / 2), rows["regret"].median()
        error = [[middle - rows["regret"].min()], [rows["regret"].max() - middle]]
        style = {"color": colour, "mec": canvas.INK, "ms": 6, "capsize": 2, "elinewidth": 1}
        axes.errorbar(cost, middle, error, fmt=marker, label=f"{name} (n={len(rows)})", zorder=3, **style)
