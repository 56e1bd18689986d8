"""Regret against cost, of every method in one figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from atrcnas.plots import canvas

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
POINTS = ("#4b2e63", "#b22222", "#1b7837", "#8c510a", "#e7298a", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P")
BAND = "random"  # those of the other strategies by trials would cover each other


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
        axes.set_xlim(0.7, 92)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("cost, trainings of full length")
        axes.set_ylabel("regret, points of Delta_m")
        canvas.legend_below(figure, 8)
    return figure


def _draw_lookups(axes: Axes, lookups: pd.DataFrame) -> None:
    for colour, (name, rows) in zip(LINES, lookups.groupby("method", sort=False), strict=False):
        axes.plot(rows["cost"], rows["regret_50"], color=colour, lw=1.4, label=str(name))
        if name == BAND:
            axes.fill_between(rows["cost"], rows["regret_25"], rows["regret_75"], color=colour, alpha=0.12, lw=0)


def _draw_supernets(axes: Axes, searches: pd.DataFrame) -> None:
    for colour, marker, (name, rows) in zip(POINTS, MARKERS, searches.groupby("method", sort=False), strict=False):
        cost, middle = rows["cost"].median(), rows["regret"].median()
        error = [[middle - rows["regret"].min()], [rows["regret"].max() - middle]]
        style = {"color": colour, "mec": canvas.INK, "ms": 7, "capsize": 3}
        axes.errorbar(cost, middle, error, fmt=marker, label=f"{name} (n={len(rows)})", zorder=3, **style)
