"""What a search step costs by each estimator, over a training step of a fixed network, with the backbone.

python -m analysis.bench.estimators --turns 12

The setting `rooms-hrnet18` of the main table: HRNet18-S, four tasks, 16 pairs; one thread. The fixed networks are drawn
evenly from the pool; all steps are taken in turns, before any pair commits. Processor time, so that other work on
the machine counts little; a ratio for each turn, its median and quartiles.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch

from analysis.contextbench.one_run import Prepared, prepare, prepare_search, rendered
from analysis.main_table.settings import SETTINGS
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.strategies import ESTIMATORS

POOLS = ("atrc", "full", "wide")
FIXED = 3
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    setting = SETTINGS["rooms-hrnet18"].experiment()
    few = {"options": {**setting.data.options, "train_size": 64, "val_size": 8}}
    setting = setting.replace(data=few, search={"commit_gap": 1.0})
    data, draw = rendered(setting), random.Random(0)
    print("| pool | estimator | step / step of a fixed network (quartiles) |")
    print("|---|---|---|")
    for space in POOLS:
        experiment = setting.replace(space=space)
        pools = experiment.search_space().pools(experiment.tasks)
        fixed = [
            prepare(
                experiment, ContextConfig.from_kinds({pair: draw.choice(pool) for pair, pool in pools.items()}), data
            )
            for _ in range(FIXED)
        ]
        searches: dict[str, Prepared] = {}
        for estimator in ESTIMATORS.names:
            asked = experiment.replace(search={"estimator": estimator, "logits_warm_up": 0.0})
            searches[estimator] = prepare_search(asked, data)[0]
        seconds: dict[str, list[float]] = {name: [] for name in searches}
        for turn in range(WARM_UP + args.turns):
            base = float(np.mean([one.step() for one in fixed]))
            for name, one in searches.items():
                if turn < WARM_UP:
                    one.step()
                else:
                    seconds[name].append(one.step() / base)
        for name, ratios in seconds.items():
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            print(f"| `{space}` | `{name}` | {middle:.2f} ({low:.2f} to {high:.2f}) |", flush=True)


if __name__ == "__main__":
    main()
