"""Search every plant with several seeds: `python -m analysis.planted.search`.

Stopped and started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from analysis.planted.confirm import PAIR, of_plant, samples
from analysis.planted.rows import SEARCH, Key, fill
from atrcnas.data.plants import PLANTS
from atrcnas.engine.devices import connect
from atrcnas.engine.gradient_search import search_batches, search_training
from atrcnas.engine.splits import open_splits
from atrcnas.engine.step import take_step
from atrcnas.runs.tables import Columns

COLUMNS: Columns = {
    "plant": str, "estimator": str, "seed": int, "kind": str, "probability": float, "second": str, "seconds": float,
}  # fmt: skip


def search(key: Key) -> tuple[object, ...]:
    """The chosen kind with its probability, the most probable other one, and CPU seconds."""
    plant, estimator, seed = key
    experiment, (train, val) = of_plant(plant, f"seed={seed}", f"search.estimator={estimator}"), samples(plant)
    splits = replace(open_splits(experiment), train=train, val=val)
    training, choice = search_training(experiment, splits, connect(experiment))
    began = time.process_time()
    for batch in search_batches(experiment, splits, {}):
        take_step(training, batch)
    kind = choice.chosen()[PAIR]
    table = choice.sampler.probability_table()[PAIR]
    second = max(table.keys() - {kind}, key=table.__getitem__)
    return kind, round(table[kind], 3), second, round(time.process_time() - began, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--plants", nargs="+", default=list(PLANTS))
    parser.add_argument("--estimators", nargs="+", default=["soft", "paired"])
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long [default: when all is done]")
    parser.add_argument("--out", type=Path, default=SEARCH)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keys = [
        (plant, estimator, seed) for seed in range(args.seeds) for estimator in args.estimators for plant in args.plants
    ]
    fill(args.out, COLUMNS, keys, search, args.minutes)


if __name__ == "__main__":
    main()
