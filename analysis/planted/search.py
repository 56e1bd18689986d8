"""Search every plant with several seeds: `python -m analysis.planted.search`.

Stopped and started again it goes on where it was. Seeds below 30 were looked at while the lengths and the cost weight
were chosen; those that are counted come after them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from analysis.contextbench.one_run import prepare_search
from analysis.filling import fill
from analysis.places import RESULTS
from analysis.planted.confirm import PAIR, of_plant, samples
from atrcnas.data.plants import PLANTS
from atrcnas.runs.tables import Columns

OUT = RESULTS / "planted_search.csv"
FIRST_SEED = 30
COLUMNS: Columns = {
    "plant": str, "estimator": str, "seed": int, "kind": str, "probability": float, "second": str, "seconds": float,
}  # fmt: skip


def search(plant: str, estimator: str, seed: int) -> dict[str, Any]:
    """The chosen kind with its probability, the most probable other one, and CPU seconds."""
    experiment = of_plant(plant, f"seed={seed}", f"search.estimator={estimator}")
    prepared, choice = prepare_search(experiment, samples(plant))
    seconds = sum(prepared.step() for _ in range(experiment.search.steps))
    kind = choice.chosen()[PAIR]
    table = choice.sampler.probability_table()[PAIR]
    second = max((other for other in table if other != kind), key=table.__getitem__)
    return {"kind": kind, "probability": round(table[kind], 3), "second": second, "seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--plants", nargs="+", default=list(PLANTS))
    parser.add_argument("--estimators", nargs="+", default=["soft", "paired"])
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long [default: when all is done]")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keys = [
        (plant, estimator, FIRST_SEED + seed)
        for seed in range(args.seeds)
        for estimator in args.estimators
        for plant in args.plants
    ]
    for row in fill(args.out, COLUMNS, keys, search, args.minutes):
        print(*row.values(), file=sys.stderr)


if __name__ == "__main__":
    main()
