"""Retrain rows of a ContextBench table that are drawn at random, and say how far off they are in seed standard deviations.

python -m analysis.contextbench.spot_check --rows 5
python -m analysis.contextbench.spot_check --rows 5 --fresh     with a seed that the table does not have

With its own seed a row comes out the same, bit for bit on the same machine, as long as code and versions stay; rounding
that changes moves it within the noise of seeds. With a fresh one it is compared with the mean of
the config's rows, and the deviation of a difference of the two is what counts as one.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import pandas as pd
import torch

from analysis.contextbench.make import trained_by
from analysis.contextbench.one_run import contexts_of, rendered, run
from atrcnas.contextbench import Bench, load

WITHIN = 2.0  # seed standard deviations
FRESH = 1000  # a seed that no table has


def figures(bench: Bench) -> list[str]:
    """What is compared: the scores and losses of full length."""
    return [f"{name}.{figure}.full" for name, task in bench.tasks.items() for figure in (task.score, "loss")]


def differences(bench: Bench, config: str, found: pd.Series, seed: int | None) -> pd.Series:
    """How far a training is off its row, or with a fresh seed (None) off the mean of its config, in deviations."""
    names, noise = figures(bench), bench.noise()
    own = bench.query(config, seed)
    trained = int((bench.rows.index.get_level_values("config") == config).sum())
    spread = noise[names] * ((1 + 1 / trained) ** 0.5 if seed is None else 1.0)
    return (found[names].astype(float) - own[names]) / spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--name", default="rooms-small", help="of the table")
    parser.add_argument("--root", type=Path, help="folder of the photographs [default: that of the experiment]")
    parser.add_argument("--draw", type=int, default=0, help="seed of the draw of rows")
    parser.add_argument("--fresh", action="store_true", help="train with a seed that the table does not have")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = load(args.name)
    experiment = trained_by(args.name, args.root)
    data, worst = rendered(experiment), 0.0
    for config, seed in random.Random(args.draw).sample(list(bench.rows.index), args.rows):
        trained = experiment.replace(seed=FRESH if args.fresh else seed)
        found = pd.Series(run(trained, contexts_of(config, bench.pools), data))
        off = differences(bench, config, found, None if args.fresh else seed)
        worst = max(worst, float(off.abs().max()))
        shown = ", ".join(f"{name.removesuffix('.full')} {value:+.2f}" for name, value in off.items())
        print(f"{config} seed {trained.seed}: {shown}", flush=True)
    print(f"the largest of {args.rows * len(figures(bench))} differences: {worst:.2f} seed standard deviations")
    sys.exit(0 if worst <= WITHIN or args.fresh else 1)


if __name__ == "__main__":
    main()
