"""How much of a config's score belongs to the validation images: trainings of `rooms-small`, scored on two sets of images.

python -m analysis.contextbench.other_images

The table's scores are of 400 validation images, by which the look-ups of analysis.search_quality both choose and are
judged, with different training seeds. Here one training of each row of each target is scored on these and on the next
400 images of the same kind. Writes analysis/results/other_images.csv; started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping

import pandas as pd
import torch

from analysis.contextbench.make import trained_by
from analysis.contextbench.one_run import contexts_of, prepare, rendered, validate
from analysis.filling import fill, read
from analysis.places import RESULTS
from atrcnas.contextbench import load
from atrcnas.contextbench.table import BASELINE, factored
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.tables import Columns
from atrcnas.spec.tasks import Task

TABLE, OUT, SEED = "rooms-small", RESULTS / "other_images.csv", 0
SETS = ("table", "next")  # of images


def columns() -> Columns:
    """``config``, and its scores after the last step on each set of images."""
    tasks = load(TABLE).tasks
    return {"config": str, **{f"{name}.{task.score}.{part}": float for part in SETS for name, task in tasks.items()}}


def lines() -> Iterator[str]:
    """What the rows say."""
    bench, rows = load(TABLE), read(OUT, columns()).set_index("config")
    known, other = (gains(rows, bench.tasks, part) for part in SETS)
    yield "| trainings | Spearman correlation | standard deviation of the difference, % |"
    yield "|---|---|---|"
    yield f"| {len(known)} | {known.rank().corr(other.rank()):.3f} | {(known - other).std():.2f} |"


def gains(rows: pd.DataFrame, tasks: Mapping[str, Task], part: str) -> pd.Series:
    """Delta_m by config on one set of images, percent over the baseline on the same images."""
    scores = {
        config: {name: row[f"{name}.{task.score}.{part}"] for name, task in tasks.items()}
        for config, row in rows.iterrows()
    }
    base = scores.pop(BASELINE)
    return pd.Series({config: multi_task_gain(own, base, tasks.values()) for config, own in scores.items()})


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    experiment, bench = trained_by(TABLE).replace(seed=SEED), load(TABLE)
    options, number = experiment.data.options, experiment.data.options["val_size"]
    train, val = rendered(experiment.replace(data={"options": {**options, "val_size": 2 * number}}))
    sets = {part: range(place * number, (place + 1) * number) for place, part in enumerate(SETS)}

    def measure(config: str) -> dict[str, float | int]:
        prepared = prepare(experiment, contexts_of(config, bench.pools), (train, val))
        while prepared.training.step < experiment.retrain.steps:
            prepared.step()
        row: dict[str, float | int] = {}
        for part, images in sets.items():
            row |= validate(prepared, part, images)
        return row

    keys = [(config,) for config in (BASELINE, *factored(bench.pools))]
    for done, row in enumerate(fill(OUT, columns(), keys, measure), start=1):
        print(f"{done}: {row}", file=sys.stderr)


if __name__ == "__main__":
    main()
