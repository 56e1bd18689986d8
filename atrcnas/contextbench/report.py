"""What a table says, in lines and in a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atrcnas.contextbench.bench import Bench
from atrcnas.contextbench.table import BASELINE, factored, num_configs
from atrcnas.contextbench.variance import interaction, marginals, shares
from atrcnas.ground.errors import RunError
from atrcnas.plots import canvas
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS

SHOWN = 5  # best and worst configs
_PANEL_IN = (2.6, 2.2)


def lines(bench: Bench) -> Iterator[str]:
    """The report, line by line, in Markdown."""
    counted = bench.rows.groupby(level="seed").size()
    seeds = ", ".join(f"{seed} ({count})" for seed, count in counted.items())
    space = num_configs(bench.pools) + 1
    configs = bench.rows.index.get_level_values("config").nunique()
    yield f"{bench.experiment.name}: {len(bench.rows)} rows, {configs} of {space} configs; seeds (rows): {seeds}"
    if bench.contexts.empty:
        return
    yield from _table("noise floor: standard deviation over seeds", _noise(bench))
    yield ""
    yield "Shares of variance are of type II: they add up to 1 where every config has as many trainings, else nearly so."
    for name, task in bench.tasks.items():
        for figure in (task.score, "loss"):
            yield from _table(
                f"{name} {figure}: share of variance by site", shares(bench, name, f"{name}.{figure}.full")
            )
        yield from _table(f"{name}: mean gain by kind, percent over the {BASELINE}", marginals(bench, name))
    ranking = bench.ranking()
    yield from _table(f"the best of {len(ranking)} configs, Delta_m in percent", ranking.head(SHOWN))
    yield from _table("the worst", ranking.tail(SHOWN))
    yield from _table("do targets separate? Delta_m of whole configs against that of their rows", _separation(bench))
    yield from _table(
        "what the rows of the other targets add to the gain of a target: standard deviation, percent, and F statistic",
        pd.DataFrame({name: _shared(bench, name) for name in bench.tasks}).T,
    )
    figures = ["delta_m", *(f"{name}.gain" for name in bench.tasks)]
    yield from _table(
        "all rows: standard deviations of a training, and of what the rows of targets do not add up to, percent",
        pd.DataFrame({figure: interaction(bench, f"{figure}.full") for figure in figures}).T,
    )


def config_lines(bench: Bench, config: str, seed: int | None = None) -> Iterator[str]:
    """A config's figures where it was trained, and its standing where that is known.

    Args:
        bench: the table.
        config: its name, or a context config file.
        seed: of one training; None for the mean over all.

    Raises:
        AtrcnasError: not of this space, or neither is known.
    """
    asked = ContextConfig.load(config) if Path(config).suffix in (".yaml", ".yml", ".json") else config
    name = bench.name(asked)
    ranked = name in bench.ranking().index
    if name in bench.rows.index.get_level_values("config") or seed is not None or not ranked:
        for figure, value in bench.query(name, seed).items():
            yield f"{figure}: {value:.6g}"
    if ranked:
        found = bench.standing(name)
        yield (
            f"Delta_m by the rows of each target: {found.delta_m:+.2f} %, rank {found.rank} of {found.of}, "
            f"percentile {found.percentile:.0f}"
        )


def draw(bench: Bench) -> Figure:
    """The mean gain by kind for each pair of each target, and the ranking with the configs that were trained as a whole.

    Raises:
        RunError: no config has rows for each target and a baseline.
    """
    ranking = bench.ranking()
    if ranking.empty:
        raise RunError(f"{bench.experiment.name}: nothing to draw yet, no gain is known. Train the table further.")
    with canvas.styled():
        title = f"ContextBench {bench.experiment.name}: what each kind is worth"
        figure, panels = canvas.panels(title, len(bench.tasks) + 1, len(bench.tasks) + 1, _PANEL_IN)
        for axes, name in zip(panels, bench.tasks, strict=False):
            _draw_gains(axes, bench, name)
        panels[0].set_ylabel("mean gain over the baseline, %")
        _draw_ranking(panels[-1], ranking, bench)
        canvas.legend_below(figure, 8)
    return figure


def _noise(bench: Bench) -> pd.DataFrame:
    noise = bench.noise()
    kinds = [name for task in bench.tasks.values() for name in (f"{task.name}.{task.score}", f"{task.name}.loss")]
    kinds = [*kinds, *(f"{name}.gain" for name in bench.tasks), "delta_m"]
    lengths = dict.fromkeys(name.rpartition(".")[2] for name in noise.index if "." in name)
    return pd.DataFrame({length: [noise[f"{kind}.{length}"] for kind in kinds] for length in lengths}, index=kinds)


def _separation(bench: Bench) -> pd.DataFrame:
    """How the rows of the factored design, which no other config has a part in, foretell whole configs."""
    design = factored(bench.pools)
    first = bench.rows.index.get_level_values("config").isin([BASELINE, *design])
    foretold = Bench(bench.rows[first], bench.experiment).ranking()["delta_m"]
    both = pd.DataFrame({"foretold": foretold, "measured": bench.ranking()["measured"]}).drop(design, errors="ignore")
    both = both.dropna()
    enough = len(both) > 2
    return pd.DataFrame(
        {
            "configs": len(both),
            "Spearman": both.rank().corr().iloc[0, 1] if enough else float("nan"),
            "std of the difference": (both["measured"] - both["foretold"]).std() if enough else float("nan"),
        },
        index=["configs outside of the design"],
    )


def _shared(bench: Bench, target: str) -> dict[str, float]:
    found = bench.spillover(target)
    return {"effect": found.effect, "ratio": found.ratio, "freedom": found.freedom}


def _table(title: str, table: pd.DataFrame) -> Iterator[str]:
    yield ""
    yield f"{title}:"
    yield ""
    yield f"| | {' | '.join(map(str, table.columns))} |"
    yield "|---" * (len(table.columns) + 1) + "|"
    for name, row in table.iterrows():
        yield f"| {name} | {' | '.join(_shown(value) for value in row)} |"


def _shown(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _draw_gains(axes: Axes, bench: Bench, target: str) -> None:
    gains, noise = marginals(bench, target), bench.noise()[f"{target}.gain.full"]
    for i, (pair, row) in enumerate(gains.iterrows()):
        marker = "o" if str(pair) == f"{target}<-{target}" else "s"
        trained = bench.contexts.groupby(str(pair)).size()
        for place, kind in enumerate(gains.columns):
            if pd.isna(row[kind]):
                continue
            at, error = place + 0.16 * (i - (len(gains) - 1) / 2), noise / trained[kind] ** 0.5
            axes.errorbar(
                at, row[kind], error, fmt=marker, color=KINDS[kind].colour, mec=canvas.INK, ecolor=canvas.INK, lw=0.8
            )
    axes.set_xticks(range(len(gains.columns)), list(gains.columns))
    axes.set_title(target)
    error = "" if pd.isna(noise) else ", +- its standard error"  # not known of a single seed
    for marker, label in (("o", "from itself"), ("s", "from another task")):
        axes.plot([], [], marker, color="white", markeredgecolor=canvas.INK, label=f"{label}{error}")


def _draw_ranking(axes: Axes, ranking: pd.DataFrame, bench: Bench) -> None:
    places = pd.Series(range(1, len(ranking) + 1), index=ranking.index)
    axes.plot(places, ranking["delta_m"], color=canvas.INK, linewidth=1.4, label="by the rows of each target")
    # Of the design the rows are made, so that its configs lie on the line.
    whole = ranking["measured"].dropna().drop(factored(bench.pools), errors="ignore")
    if len(whole):
        axes.plot(places[whole.index], whole, ".", color="#d55e00", markersize=3, label="trained as a whole")
    axes.set_title("all configs")
    axes.set_xlabel("rank")
    axes.locator_params(axis="x", nbins=4)  # a space of several tasks has ranks of six digits
    axes.set_ylabel("Delta_m, %")
