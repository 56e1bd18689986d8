"""What the table of all encoder trees says, and where chosen trees stand in it.

python -m analysis.branch_summary [--table ...] [--choices ...] [--figure analysis/figures/branch_table.png] [--page]

Trees are ranked by mean validation loss plus cost weight times 10^9 multiply-adds of the network, which is what a search with
that cost weight descends. RSA and TAG give a tree for every cost: that of the largest cost up to the searched tree's is taken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import branch_choices, branch_table, pages
from analysis.places import FIGURES
from atrcnas.plots import canvas

FIGURE = FIGURES / "branch_table.png"
MARKERS = {"search": ("o", "#d55e00"), "RSA": ("s", "#009e73"), "TAG": ("^", "#cc79a7")}


def with_loss(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the loss of all tasks together, as it is weighed in training."""
    return table.assign(loss=table[[name for name in table.columns if name.endswith(".loss")]].sum(axis=1))


def by_tree(table: pd.DataFrame) -> pd.DataFrame:
    """A row per tree: mean loss over all tasks, mean and spread of Delta_m over seeds, cost."""
    grouped = with_loss(table).groupby("tree")
    return pd.DataFrame(
        {
            "delta_m": grouped["delta_m"].mean(),
            "spread": grouped["delta_m"].std(),
            "seeds": grouped["seed"].nunique(),
            "loss": grouped["loss"].mean(),
            "multiply_adds": grouped["multiply_adds"].first(),
        }
    ).sort_values("delta_m", ascending=False)


def noise(table: pd.DataFrame, figure: str = "delta_m") -> tuple[float, float]:
    """Of a figure that is complete for several seeds: standard deviation between trees' means, and of seeds within a tree.

    What all trees of a seed share, such as its reference, is taken out of both.
    """
    wide = table.pivot(index="tree", columns="seed", values=figure).dropna()
    rest = wide - wide.mean(axis=0)
    within = float(np.sqrt((rest.sub(rest.mean(axis=1), axis=0) ** 2).to_numpy().sum() / max(_freedom(rest), 1)))
    return float(rest.mean(axis=1).std()), within


def _freedom(rest: pd.DataFrame) -> int:
    trees, seeds = rest.shape
    return (trees - 1) * (seeds - 1)


def objective(trees: pd.DataFrame, cost_weight: float) -> pd.Series:
    """What a search with this cost weight descends, of every tree."""
    return trees["loss"] + cost_weight * trees["multiply_adds"] / 1e9


def rank(trees: pd.DataFrame, tree: str, cost_weight: float) -> int:
    """Place of a tree, 1 for the best, under a cost weight."""
    values = objective(trees, cost_weight)
    return int((values < values[tree]).sum()) + 1


def placed(trees: pd.DataFrame, choices: pd.DataFrame) -> pd.DataFrame:
    """For each cost weight: the searched tree, those of RSA and TAG of at most its cost, the best, and their ranks."""
    rows = []
    for weight, searched in choices[choices["method"] == "search"][["setting", "tree"]].itertuples(index=False):
        limit = trees["multiply_adds"][searched]
        found = {"search": searched, "best": objective(trees, weight).idxmin()}
        for method in ("RSA", "TAG"):
            own = choices["tree"][choices["method"] == method]
            found[method] = max(
                (tree for tree in own if trees["multiply_adds"][tree] <= limit), key=trees["multiply_adds"].get
            )
        for method, tree in found.items():
            place = rank(trees, tree, weight)
            rows.append((f"{weight:g}", method, tree, place, trees["multiply_adds"][tree], trees["delta_m"][tree]))
    return pd.DataFrame(rows, columns=["cost_weight", "method", "tree", "rank", "multiply_adds", "delta_m"])


def draw(trees: pd.DataFrame, choices: pd.DataFrame) -> Figure:
    """Every tree by its cost, and what was chosen."""
    with canvas.styled():
        figure, (axes,) = canvas.panels("Every encoder tree of three tasks", 1, 1, (7, 4))
        cost = trees["multiply_adds"] / 1e6
        style = {
            "fmt": "o",
            "color": "#8a8a8a",
            "markersize": 4,
            "linewidth": 1,
            "label": "a tree: mean and spread of the seeds",
        }
        axes.errorbar(cost, trees["delta_m"], trees["spread"].fillna(0.0), **style)
        for size, (method, (marker, colour)) in zip((13, 10, 7), MARKERS.items(), strict=True):
            own = choices["tree"][choices["method"] == method].unique()
            look = {"marker": marker, "markersize": size, "markeredgecolor": colour, "markerfacecolor": "none"}
            axes.plot(cost[own], trees["delta_m"][own], linestyle="none", label=f"chosen by {method}", **look)
        axes.set_xlabel("multiply-adds of the network, millions")
        axes.set_ylabel("Delta_m against all apart, percent")
        canvas.legend_below(figure, 7)
    return figure


def markdown(table: pd.DataFrame, choices: pd.DataFrame) -> str:
    """All trees, what they differ by, and where chosen ones stand."""
    trees = by_tree(table)
    lines = ["| tree | Delta_m (%) | spread | loss | multiply-adds |", "|---|---|---|---|---|"]
    for tree, row in trees.iterrows():
        costs = f"{row['loss']:.3f} | {row['multiply_adds'] / 1e6:.2f} M"
        lines.append(f"| {_cell(str(tree))} | {row['delta_m']:+.2f} | {row['spread']:.2f} | {costs} |")
    seeds, minutes = table["seed"].nunique(), table["seconds"].sum() / 60
    lines += [
        "",
        f"{len(table)} rows, {seeds} seeds, {minutes:.1f} processor minutes of training. Standard deviations, without what all "
        "trees of a seed share:",
        "",
        f"| figure | between the means of trees | expected of {seeds} seeds by chance | of seeds within a tree |",
        "|---|---|---|---|",
    ]
    table = with_loss(table)
    for figure in ("delta_m", "loss", *(name for name in table.columns if name.endswith(".loss"))):
        between, within = noise(table, figure)
        lines.append(f"| {figure} | {between:.4f} | {within / seeds**0.5:.4f} | {within:.4f} |")
    lines += [
        "",
        f"| cost weight | tree of | tree | rank of {len(trees)} | Delta_m (%) | multiply-adds |",
        "|---|---|---|---|---|---|",
    ]
    for row in placed(trees, choices).itertuples(index=False):
        figures = f"{row.rank} | {row.delta_m:+.2f} | {row.multiply_adds / 1e6:.2f} M"
        lines.append(f"| {row.cost_weight} | {row.method} | {_cell(row.tree)} | {figures} |")
    return "\n".join(lines)


def _cell(tree: str) -> str:
    """A tree's key, whose bars end no cell of the table."""
    return "`" + tree.replace("|", "\\|") + "`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=branch_table.OUT)
    parser.add_argument("--choices", type=Path, default=branch_choices.OUT)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--page", action="store_true", help="put the tables into docs/comparing-trees.md, too")
    args = parser.parse_args()
    table, choices = branch_table.read(args.table), pd.read_csv(args.choices)
    print(found := markdown(table, choices))
    if args.page:
        pages.write(pages.TREES, "trees", found)
    print(canvas.save(draw(by_tree(table), choices), args.figure))


if __name__ == "__main__":
    main()
