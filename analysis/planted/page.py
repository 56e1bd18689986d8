"""Write the tables and the picture of `docs/planted.md` from the rows there are: `python -m analysis.planted.page`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis.filling import read
from analysis.pages import PLANTED, write
from analysis.places import FIGURES
from analysis.planted import confirm, search
from analysis.planted.confirm import CHANGES, PAIR, kinds, of_plant
from atrcnas.costs.table import BASE
from atrcnas.data.plants import HEIGHT, PLANTS, WIDTH
from atrcnas.engine.cost_table import counted_table, pools_of

PICTURE = FIGURES / "planted.png"
ENOUGH = 2.0  # seed standard deviations


def losses(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, and number of seeds, of each plant and kind; cost is not in it."""
    return rows.groupby(["plant", "kind"])["loss"].agg(["mean", "std", "count"])


def prices(plant: str) -> dict[str, float]:
    """What `search.cost_weight` of a plant's search adds to the loss of each kind."""
    experiment = of_plant(plant)
    table = counted_table(experiment, (HEIGHT, WIDTH))
    plain = {pair: pool[0] for pair, pool in pools_of(experiment).items()}
    return {
        kind: sum(
            weight * (table.predict(plain | {PAIR: kind}, measure) / table.costs[measure][BASE] - 1)
            for measure, weight in experiment.search.cost_weight.items()
        )
        for kind in kinds()
    }


def lead(figures: pd.DataFrame, plant: str, price: Mapping[str, float]) -> float | None:
    """By how many standard deviations the best planted kind is ahead of the best other one; None with a single seed.

    ``price`` is what a kind's cost adds to its loss, as in the search. The deviation is that of the two kinds together:
    the root of the mean of their variances.
    """
    own = figures.loc[plant]
    own = own.assign(mean=own["mean"] + own.index.map(lambda kind: price.get(kind, 0.0)))
    planted = own[own.index.isin(PLANTS[plant].kinds)]
    others = own[~own.index.isin(PLANTS[plant].kinds)]
    if planted.empty or others.empty:
        return None
    best, next_best = (part.loc[part["mean"].idxmin()] for part in (planted, others))
    spread = float(np.sqrt((best["std"] ** 2 + next_best["std"] ** 2) / 2))
    return float((next_best["mean"] - best["mean"]) / spread) if spread > 0 else None


def confirmed(ahead: float | None) -> str:
    """The verdict."""
    if ahead is None:
        return ""
    return f"{ahead:+.1f}" if ahead > ENOUGH else f"{ahead:+.1f} (not confirmed)"


def confirm_table(rows: pd.DataFrame) -> str:
    """Markdown: the target's loss by plant and kind, planted ones bold."""
    figures, names, price = losses(rows), kinds(), {plant: prices(plant) for plant in CHANGES}
    lines = [
        f"| plant | {' | '.join(f'`{kind}`' for kind in names)} | seeds | ahead by |",
        "|---" * (len(names) + 3) + "|",
    ]
    for plant, of_kind in price.items():
        costs = (f"{of_kind[kind]:.3f}" for kind in names)
        lines.append(f"| what cost adds in `{plant}` | {' | '.join(costs)} | | |")
    for plant in PLANTS:
        if plant not in figures.index.get_level_values(0):
            continue
        own = figures.loc[plant]
        cells = [cell(own, kind, kind in PLANTS[plant].kinds) for kind in names]
        least, most = int(own["count"].min()), int(own["count"].max())
        seeds = f"{least}" if least == most else f"{least} to {most}"
        lines.append(
            f"| `{plant}` | {' | '.join(cells)} | {seeds} | {confirmed(lead(figures, plant, price.get(plant, {})))} |"
        )
    return "\n".join(lines)


def cell(own: pd.DataFrame, kind: str, planted: bool) -> str:
    """Mean and deviation of a kind."""
    if kind not in own.index:
        return ""
    mean, std, count = own.loc[kind]
    text = f"{mean:.3f}" if count == 1 else f"{mean:.3f} ± {std:.3f}"
    return f"**{text}**" if planted else text


def search_table(rows: pd.DataFrame) -> str:
    """Markdown: how many searches found a planted kind, how many the first of these, and what they chose."""
    lines = ["| estimator | plant | found | the first kind of the plant | chosen |", "|---|---|---|---|---|"]
    for estimator, of_estimator in rows.groupby("estimator", sort=False):
        hits = firsts = 0
        by_chance = 0.0
        for plant, made in PLANTS.items():
            chosen = of_estimator.loc[of_estimator["plant"] == plant, "kind"]
            if chosen.empty:
                continue
            found, first = int(chosen.isin(made.kinds).sum()), int((chosen == made.kinds[0]).sum())
            hits, firsts, by_chance = (
                hits + found,
                firsts + first,
                by_chance + len(chosen) * len(made.kinds) / len(kinds()),
            )
            counts = ", ".join(f"`{kind}` {number}" for kind, number in chosen.value_counts().items())
            lines.append(f"| `{estimator}` | `{plant}` | {found} of {len(chosen)} | {first} | {counts} |")
        even = f"an even draw would find {by_chance:.0f}"
        lines.append(f"| `{estimator}` | all | **{hits} of {len(of_estimator)}** | {firsts} | {even} |")
    return "\n".join(lines)


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Confusion matrices, one per estimator: plants by chosen kinds, with the planted ones framed."""
    estimators, names = list(rows["estimator"].unique()), kinds()
    figure, axes = plt.subplots(
        1, len(estimators), figsize=(4 * len(estimators) + 1.6, 4.2), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, estimator in zip(axes[0], estimators, strict=True):
        of_estimator = rows[rows["estimator"] == estimator]
        counts = pd.crosstab(of_estimator["plant"], of_estimator["kind"]).reindex(
            index=list(PLANTS), columns=list(names), fill_value=0
        )
        axis.imshow(counts, cmap="Blues", vmin=0, vmax=max(int(counts.to_numpy().max()), 1))
        for row, plant in enumerate(PLANTS):
            for column, kind in enumerate(names):
                number = int(counts.iloc[row, column])
                if number:
                    dark = number > 0.6 * counts.to_numpy().max()
                    axis.text(column, row, str(number), ha="center", va="center", color="white" if dark else "black")
                if kind in PLANTS[plant].kinds:
                    axis.add_patch(
                        plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#d55e00", lw=2)
                    )
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axis.set_yticks(range(len(PLANTS)), list(PLANTS))
        axis.set_xlabel("chosen")
        axis.set_title(f"{estimator}: searches by what they chose")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    searches = read(search.OUT, search.COLUMNS)
    write(PLANTED, "confirm", confirm_table(read(confirm.OUT, confirm.COLUMNS)))
    write(PLANTED, "search", search_table(searches))
    draw(searches, PICTURE)


if __name__ == "__main__":
    main()
