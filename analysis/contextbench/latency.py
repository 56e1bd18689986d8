"""Time the configs of a ContextBench table as exported files, each in turns with the multi-task baseline.

python -m analysis.contextbench.latency rooms-small [--root PATH/TO/camvid_small] [--minutes 8]

One image, ONNX Runtime, one thread. A row holds the latency in milliseconds, and as a share of the baseline's in the same
minute, which other work on the machine changes less. Only shapes matter for time: weights are as they start. Started
again it goes on with the configs that were trained since.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from analysis.contextbench.make import trained_by
from analysis.contextbench.one_run import contexts_of
from analysis.filling import fill
from atrcnas.contextbench import load
from atrcnas.contextbench.bench import latency_path
from atrcnas.contextbench.table import BASELINE, LATENCY
from atrcnas.deploy.timed_costs import Run, in_turns, runner
from atrcnas.engine.networks import fixed_network, with_model_of
from atrcnas.engine.splits import open_splits

RUNTIME, REPEATS = "onnxruntime", 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--root", type=Path, help="folder of the photographs [default: that of the experiment]")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench, experiment = load(args.table), trained_by(args.table, args.root)
    height, width = open_splits(experiment).val[0].image.shape[:2]
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))

    def run_of(config: str) -> Run:
        contexts = contexts_of(config, bench.pools)
        return runner(fixed_network(with_model_of(experiment, contexts), contexts), image, RUNTIME)

    base = run_of(BASELINE)

    def measure(config: str) -> dict[str, float]:
        own, other = in_turns(run_of(config), base, image, REPEATS)
        return {"latency_ms": round(own, 4), "latency_ratio": round(own / other, 4)}

    configs = list(bench.rows.index.unique("config"))
    keys = [(config,) for config in configs]
    for done, row in enumerate(fill(latency_path(args.table), LATENCY, keys, measure, args.minutes), start=1):
        print(f"{done}: {row}", file=sys.stderr)


if __name__ == "__main__":
    main()
