"""Regret against cost, of every method in one figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from atrcnas.plots import canvas

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4b2e63", "#6b6b6b")
MARKERS = ("o", "s", "^", "D", "v", "P")


def draw(searches: pd.DataFrame, lookups: pd.DataFrame, references: pd.DataFrame) -> Figure:
    """Searches with a supernet as points with their range, those by trials as lines with their middle half."""
    with canvas.styled():
        figure, panels = canvas.panels("Regret against cost on rooms-small", 2, 2, (4.6, 3.6))
        _draw_lookups(panels[0], lookups)
        _draw_supernets(panels[1], searches)
        for name in references.index[-1:]:
            for axes in panels:
                axes.axhline(references.loc[name, "regret"], color=canvas.INK, lw=0.8, ls=":", label=name)
        for axes in panels:
            axes.set_xlabel("cost, trainings of full length")
            axes.set_ylim(bottom=0)
        panels[1].sharey(panels[0])
        panels[0].set_ylabel("regret: Delta_m short of the best, points")
        canvas.legend_below(figure, 9)
    return figure


def _draw_lookups(axes: Axes, lookups: pd.DataFrame) -> None:
    for colour, (name, rows) in zip(COLOURS, lookups.groupby("method", sort=False), strict=False):
        axes.plot(rows["cost"], rows["regret_50"], color=colour, lw=1.4, label=str(name))
        axes.fill_between(rows["cost"], rows["regret_25"], rows["regret_75"], color=colour, alpha=0.1, lw=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title("by trials: median and middle half")


def _draw_supernets(axes: Axes, searches: pd.DataFrame) -> None:
    for colour, marker, (name, rows) in zip(COLOURS, MARKERS, searches.groupby("method", sort=False), strict=False):
        cost, middle = rows["cost"].median(), rows["regret"].median()
        error = [[middle - rows["regret"].min()], [rows["regret"].max() - middle]]
        style = {"color": colour, "mec": canvas.INK, "ms": 7, "capsize": 3}
        axes.errorbar(cost, middle, error, fmt=marker, label=f"{name} ({len(rows)})", **style)
        axes.plot(rows["cost"], rows["regret"], ".", color=colour, ms=4)
    axes.set_xlim(left=0)
    axes.set_title("with a supernet: median and range")
