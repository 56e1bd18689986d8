"""What the rows of the main table say: tables in Markdown, and the figure of score against cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.main_table.planned import plan
from analysis.main_table.rows import rows_of
from analysis.main_table.settings import Setting
from analysis.main_table.systems import BASELINE, DRAWN, RANDOM, System, group_of, kind_of, systems
from atrcnas.plots import canvas
from atrcnas.spec.kinds import KINDS

# Points from a system's mark to its name, where the usual place is taken.
ASIDE = {
    **{"uniform-linear": (6, -9), "uniform-wide-40": (-7, 5), "uniform-wide-blocks": (8, -1)},
    **{"searched-wide-latency": (-10, -3), "searched-wide-near": (9, -3), "aspp-head": (8, -6)},
    **{"uniform-tlabel": (8, 6), "uniform-slabel": (8, -3), "uniform-query": (8, -11), "published": (-6, -12)},
    **{"uniform-wide-24-8": (-5, -23), "uniform-aspp": (-8, -2)},
    **{"uniform-aspp_dense": (8, -3), "searched-wide-two": (-6, 14), "uniform-wide": (7, -4)},
}
# They would cover searched-wide and searched-wide-latency.
ONE_POINT = {
    *("searched-wide-paired", "searched-wide-darts", "searched-wide-rows", "transfer-half", "transfer-small"),
    *("searched-rows-latency", "searched-wide-40", "searched-atrc-paired", "searched-atrc-rows"),
    *("searched-wide-near-paired", "searched-wide-latency-paired"),
}
NOTE = (
    "mean and standard deviation over seeds; random configs: one point each; searches that end beside another: left out"
)
SEARCHED, GREY, PLAIN = "#d55e00", "#9a9a9a", "#0072b2"


def summary(setting: Setting) -> pd.DataFrame:
    """One row per system in the order of the table, with means, deviations over seeds and numbers of seeds.

    Random configs are one row: their deviation is that between configs, each the mean of its own seeds.
    """
    rows = rows_of(setting)
    numbers = [name for name in rows.columns if name not in ("system", "seed", "config")]
    drawn = rows["system"].map(group_of).isin(DRAWN)
    whole = rows[~drawn].groupby("system")[numbers].agg(["mean", "std", "count"])
    each = rows[drawn].groupby("system")[numbers].mean()
    both = pd.concat([whole, each.groupby(group_of).agg(["mean", "std", "count"])])
    order = list(dict.fromkeys(map(group_of, systems(setting))))
    return both.reindex([name for name in order if name in both.index])


def lines(setting: Setting) -> Iterator[str]:
    """The main table."""
    experiment, table, known = setting.experiment(), summary(setting), systems(setting)
    scores = [f"{name}.{task.score}" for name, task in experiment.resolved_tasks().items()]
    yield f"| | {' | '.join(scores)} | Delta_m, % | seeds | parameters | multiply-adds | search, s | training, s |"
    yield "|---" * (len(scores) + 7) + "|"
    for name, row in table.iterrows():
        figures = [_spread(row[score], 3) for score in scores]
        delta = "0 (the reference)" if name == BASELINE else _spread(row["delta_m"], 1)
        cost = [f"{row['parameters', 'mean'] / 1e3:.1f} k", f"{row['multiply_adds', 'mean'] / 1e6:.1f} M"]
        seconds = [f"{row[key, 'mean']:.0f}" if row[key, "mean"] else "" for key in ("search_seconds", "train_seconds")]
        cells = [_says(str(name), known), *figures, delta, _count(str(name), row), *cost, *seconds]
        yield f"| {' | '.join(cells)} |"


def missing(setting: Setting) -> str:
    """What the table is planned to hold and does not."""
    rows, planned = rows_of(setting), Counter(name for name, _ in plan(setting))
    done = rows.groupby("system").size()
    short = {name: seeds - int(done.get(name, 0)) for name, seeds in planned.items()}
    left = [f"{name} ({short[name]})" for name in systems(setting) if short[name] > 0]
    return f"Still to be trained (seeds): {', '.join(left)}." if left else "Every row is trained."


def draw(setting: Setting) -> Figure:
    """Delta_m against multiply-adds, with the deviation over seeds."""
    with canvas.styled():
        figure, (axes,) = canvas.panels("What contexts are worth, by how they are chosen", 1, 1, (7.0, 3.6))
        table = summary(setting)
        for name, row in table.iterrows():
            if name not in DRAWN and name not in ONE_POINT:
                _draw_system(axes, str(name), row)
        _draw_random(axes, setting)
        axes.axhline(0, color=canvas.RULE, linewidth=0.8)
        axes.set_xlabel("multiply-adds of one image, millions")
        axes.set_ylabel("Delta_m over the multi-task baseline, %")
        canvas.legend_below(figure, 7.0, note=NOTE)
    return figure


def _draw_system(axes: Axes, name: str, row: pd.Series) -> None:
    at = (row["multiply_adds", "mean"] / 1e6, row["delta_m", "mean"])
    kind = name.removeprefix("uniform-")
    style: dict[str, Any] = {"fmt": "s", "color": PLAIN, "label": "no contexts, or published networks", "markersize": 5}
    if name.startswith("searched"):
        style = {"fmt": "D", "color": SEARCHED, "label": "searched", "markersize": 7, "zorder": 5}
    elif name.startswith("uniform"):
        style = {
            "fmt": "o",
            "color": KINDS[kind_of(name)].colour,
            "label": "the same kind everywhere",
            "markersize": 6,
        }
        style |= {"mec": canvas.INK, "ecolor": canvas.INK, "mew": 0.6}
    spread = row["delta_m", "std"]
    axes.errorbar(*at, None if pd.isna(spread) or name == BASELINE else spread, elinewidth=0.9, capsize=2, **style)
    usual = (-8, -12) if name.startswith("searched") else (-6, 4) if name.startswith("uniform") else (6, 4)
    aside = ASIDE.get(name, usual)
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    text = {"size": canvas.SMALL_SIZE, "ha": "right" if aside[0] < 0 else "left", "path_effects": halo, "zorder": 6}
    axes.annotate(kind, at, aside, textcoords="offset points", **text)


def _draw_random(axes: Axes, setting: Setting) -> None:
    rows = rows_of(setting)
    drawn = rows[rows["system"].map(group_of) == RANDOM].groupby("system")[["multiply_adds", "delta_m"]].mean()
    if len(drawn):
        axes.plot(
            drawn["multiply_adds"] / 1e6, drawn["delta_m"], "o", color=GREY, markersize=3.5, label="random configs"
        )


def _says(name: str, known: Mapping[str, System]) -> str:
    return f"{name}: {known[f'{name}-0' if name in DRAWN else name].says}"


def _count(name: str, row: pd.Series) -> str:
    count = int(row["delta_m", "count"])
    return f"{count} config{'s' * (count != 1)}" if name in DRAWN else str(count)


def _spread(figure: pd.Series, digits: int) -> str:
    mean = f"{figure['mean']:.{digits}f}"
    return mean if pd.isna(figure["std"]) else f"{mean} ± {figure['std']:.{digits}f}"
