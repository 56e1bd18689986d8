"""Put searches by several strategies side by side: the best score so far against what it cost.

python -m analysis.strategies RUN... --out FIGURE.png

Scores of a search by gradient are its supernet's, those of trials come from short trainings, and those of
oneshot-random from inherited weights: what they have in common is the cost. Whether a choice is good, `atrcnas compare`
says after a retraining.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from atrcnas.ground.errors import RunError
from atrcnas.plots import canvas
from atrcnas.runs.tables import BUDGET

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4b2e63", "#6b6b6b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
AXES = {"step": "training steps, all trials together", "seconds": "seconds, all trials one after the other"}


def read(run: Path) -> pd.DataFrame:
    path = run / "search" / "budget.csv"
    if not path.is_file():
        raise RunError(f"{path}: not there. Search into this run folder first.")
    rows = pd.read_csv(path)
    if tuple(rows.columns) != tuple(BUDGET) or rows.empty:
        raise RunError(f"{path}: expected rows of {', '.join(BUDGET)}. Search anew.")
    return rows


def draw(runs: dict[str, pd.DataFrame]) -> Figure:
    with canvas.styled():
        figure, panels = canvas.panels("Best score so far", len(AXES), len(AXES), (4.5, 3))
        for axes, (column, label) in zip(panels, AXES.items(), strict=True):
            for index, (name, rows) in enumerate(runs.items()):
                style = {"color": COLOURS[index % 8], "marker": MARKERS[index % 8], "markersize": 4, "linewidth": 1.4}
                axes.plot(rows[column], rows["best"], drawstyle="steps-post", label=name, **style)
            axes.set_xlim(left=0)
            axes.set_xlabel(label)
        panels[0].set_ylabel("selection score, higher is better")
        canvas.legend_below(figure, 8)
    return figure


def names(runs: list[Path], tables: list[pd.DataFrame]) -> list[str]:
    """The strategy, with the folder's name where two runs share it."""
    strategies = [str(rows["strategy"].iloc[0]) for rows in tables]
    return [
        name if strategies.count(name) == 1 else f"{name} ({run.name})"
        for run, name in zip(runs, strategies, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tables = [read(run) for run in args.runs]
    runs = dict(zip(names(args.runs, tables), tables, strict=True))
    print("| strategy | trials | steps | seconds | best score |\n|---|---|---|---|---|")
    for name, rows in runs.items():
        last = rows.iloc[-1]
        print(f"| {name} | {last['trial']} | {last['step']} | {last['seconds']:.0f} | {last['best']:.4f} |")
    print(canvas.save(draw(runs), args.out))


if __name__ == "__main__":
    main()
