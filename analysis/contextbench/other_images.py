"""How much of a config's score belongs to the validation images: rows of `rooms-small`, scored on as many other images.

python -m analysis.contextbench.other_images

The table's scores are of 400 validation images, by which the look-ups of analysis.search_quality both choose and are
judged, with different training seeds. Here the same trainings are scored on the next 400 images of the same kind.
Writes analysis/results/other_images.csv; started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
import torch

from analysis.contextbench.make import trained_by
from analysis.contextbench.one_run import contexts_of, rendered, run
from analysis.filling import fill, read
from analysis.places import RESULTS
from atrcnas.contextbench import load
from atrcnas.contextbench.table import BASELINE, factored
from atrcnas.data.sample import Sample, Source
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.tables import Columns

TABLE, OUT, SEED = "rooms-small", RESULTS / "other_images.csv", 0


class Next:
    """The samples of a data set behind the first ones."""

    def __init__(self, source: Source, first: int) -> None:
        self.source, self.first = source, first
        self.class_names: Mapping[str, Sequence[str]] = source.class_names

    def __len__(self) -> int:
        return len(self.source) - self.first

    def __getitem__(self, index: int) -> Sample:
        if index >= len(self):
            raise IndexError(index)
        return self.source[self.first + index]


def columns() -> Columns:
    """``config``, and its scores after the last step."""
    tasks = load(TABLE).tasks
    return {"config": str, **{f"{name}.{task.score}": float for name, task in tasks.items()}}


def lines() -> Iterator[str]:
    """What the rows say."""
    bench, rows = load(TABLE), read(OUT, columns()).set_index("config")
    base = rows.loc[BASELINE]
    there = pd.Series(
        {
            config: multi_task_gain(
                {name: row[f"{name}.{task.score}"] for name, task in bench.tasks.items()},
                {name: base[f"{name}.{task.score}"] for name, task in bench.tasks.items()},
                bench.tasks.values(),
            )
            for config, row in rows.drop(BASELINE).iterrows()
        }
    )
    here = bench.rows.xs(SEED, level="seed")["delta_m.full"].reindex(there.index)
    yield "| trainings | Spearman correlation | standard deviation of the difference, % |"
    yield "|---|---|---|"
    yield f"| {len(there)} | {there.rank().corr(here.rank()):.3f} | {(there - here).std():.2f} |"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    experiment = trained_by(TABLE).replace(seed=SEED)
    options, known = experiment.data.options, experiment.data.options["val_size"]
    train, both = rendered(experiment.replace(data={"options": {**options, "val_size": 2 * known}}))
    bench = load(TABLE)

    def measure(config: str) -> dict[str, float | int]:
        row = run(experiment, contexts_of(config, bench.pools), (train, Next(both, known)), {"full": 1.0})  # type: ignore[arg-type]
        return {key.removesuffix(".full"): value for key, value in row.items()}

    keys = [(config,) for config in (BASELINE, *factored(bench.pools))]
    for done, row in enumerate(fill(OUT, columns(), keys, measure), start=1):
        print(f"{done}: {row}", file=sys.stderr)


if __name__ == "__main__":
    main()
