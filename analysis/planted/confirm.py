"""Train every kind at the one pair that matters, for every plant: `python -m analysis.planted.confirm`.

Stopped and started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from analysis.contextbench.one_run import rendered, run
from analysis.filling import fill
from analysis.places import RESULTS
from atrcnas.data.caching import Cached
from atrcnas.data.plants import PLANTS
from atrcnas.runs.tables import Columns
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair

OUT = RESULTS / "planted_confirm.csv"
PAIR = Pair.parse("target<-source")
# Every kind can learn to bring nothing: only cost tells `none` from them.
CHANGES = {"own_value": ("search.cost_weight={multiply_adds: 0.2}",)}
COLUMNS: Columns = {"plant": str, "kind": str, "seed": int, "loss": float, "miou": float, "seconds": float}


def of_plant(plant: str, *overrides: str) -> Experiment:
    """The experiment of a plant; every training sample is trained on."""
    own = (f"data.options.plant={plant}", "data.selection=0", "devices=cpu", *CHANGES.get(plant, ()))
    return Experiment.load("planted", [*own, *overrides])


@lru_cache
def samples(plant: str) -> tuple[Cached, Cached]:
    """The training and the validation split of a plant, in memory."""
    return rendered(of_plant(plant))


def kinds() -> tuple[str, ...]:
    """The kinds that the pair may have."""
    experiment = Experiment.load("planted")
    return experiment.search_space().pools(experiment.tasks)[PAIR]


def train(plant: str, kind: str, seed: int) -> dict[str, Any]:
    """Loss and mIoU of the target on the validation split, and CPU seconds."""
    experiment = of_plant(plant, f"seed={seed}")
    pools = experiment.search_space().pools(experiment.tasks)
    chosen = {pair: pool[0] for pair, pool in pools.items()} | {PAIR: kind}
    row = run(experiment, ContextConfig.from_kinds(chosen), samples(plant), {"full": 1.0})
    figures = {name: round(row[f"target.{name}.full"], 4) for name in ("loss", "miou")}
    return {**figures, "seconds": row["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plants", nargs="+", default=list(PLANTS))
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long [default: when all is done]")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keys = [(plant, kind, seed) for seed in range(args.seeds) for plant in args.plants for kind in kinds()]
    for row in fill(args.out, COLUMNS, keys, train, args.minutes):
        print(*row.values(), file=sys.stderr)


if __name__ == "__main__":
    main()
