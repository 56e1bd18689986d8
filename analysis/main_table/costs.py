"""What the kinds of the wide pool cost in ONNX Runtime, for searches within a latency, and how well the sum predicts.

python -m analysis.main_table.costs rooms-small --samples 40 --checks 30
python -m analysis.main_table.costs rooms-small --plain         of networks as wide as the others

One thread. Writes analysis/results/costs_SETTING.csv and adds a row to cost_accuracy.csv: the error over networks that
the terms were not fitted to, and the latencies of the network with ASPP heads and of the baseline, timed in turns with
the searched network without contexts and given in the milliseconds of the table. `aspp_latency_ms` and
`near_baseline_ms` in settings.py come from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from statistics import median

import torch

from analysis.filling import begun, read
from analysis.main_table.settings import SETTINGS, Setting
from analysis.main_table.systems import BASELINE
from analysis.places import RESULTS
from atrcnas.costs.table import BASE, CostTable
from atrcnas.deploy.timed_costs import in_turns, runner, timed
from atrcnas.engine.cost_table import pools_of
from atrcnas.engine.networks import fixed_network, with_model_of
from atrcnas.nn.net import MultiTaskNet
from atrcnas.runs.tables import Columns
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

ACCURACY = RESULTS / "cost_accuracy.csv"
FORM: Columns = {
    **{"setting": str, "runtime": str, "fitted": int, "checked": int, "median_error": float, "tau": float},
    **{"margin": float, "base_ms": float, "aspp_head_ms": float, "baseline_ms": float},
}
RUNTIME, REPEATS = "onnxruntime", 40
ROUNDS = 5  # the median of them; other programs run on the machine


def searching(setting: Setting, plain: bool = False) -> Experiment:
    """The experiment of searches in the wide pool within the ASPP heads' latency, or as wide as the others."""
    return setting.experiment().replace(space="wide", **({} if plain else setting.within_latency))


def beside_bare(setting: Setting, experiment: Experiment, table: CostTable) -> Callable[[MultiTaskNet], float]:
    """Times a network in turns with the experiment's without contexts; gives milliseconds as the table counts them."""
    image = torch.rand(1, 3, *setting.image_size)
    without = ContextConfig.from_kinds(dict.fromkeys(pools_of(experiment), "none"))
    bare = runner(fixed_network(experiment, without), image, RUNTIME)

    def time(network: MultiTaskNet) -> float:
        ours = runner(network, image, RUNTIME)
        rounds = [in_turns(ours, bare, image, REPEATS) for _ in range(ROUNDS)]
        return table.costs["latency_ms"][BASE] * median(taken / of_bare for taken, of_bare in rounds)

    return time


def lines() -> Iterator[str]:
    """A row per setting: how well the sum of costs predicts."""
    yield "| | networks fitted to | compared with | median error | 9 of 10 take at most | Kendall tau |"
    yield "|---|---|---|---|---|---|"
    for row in read(ACCURACY, FORM).itertuples():
        cells = f"{row.checked} | {row.median_error:.1%} | {row.margin:.1%} more | {row.tau:.2f}"
        yield f"| {row.setting} | at least {row.fitted} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--checks", type=int, default=30)
    parser.add_argument("--plain", action="store_true", help="of networks as wide as the others")
    args = parser.parse_args()
    torch.set_num_threads(1)
    setting = SETTINGS[args.setting]
    plain, searched = setting.experiment(), searching(setting, args.plain)
    height, width = setting.image_size
    table, accuracy = timed(searched, (height, width), RUNTIME, samples=args.samples, checks=args.checks)
    table.save(setting.plain_costs if args.plain else setting.costs)
    time = beside_bare(setting, searched, table)

    def of(rival: str) -> float:
        contexts = ContextConfig.load(rival)
        return time(fixed_network(with_model_of(plain, contexts), contexts))

    rivals = {f"{name} ms": of(preset) for name, preset in (("ASPP heads", "aspp-baseline"), ("baseline", BASELINE))}
    name = f"{args.setting}, as wide as the others" if args.plain else args.setting
    base_ms = table.costs["latency_ms"][BASE]
    found = accuracy.configs, accuracy.median_error, accuracy.tau, accuracy.margin, base_ms
    begun(ACCURACY, FORM).append([(name, RUNTIME, args.samples, *found, *rivals.values())])
    print(f"{name}: {accuracy}, without contexts {base_ms:.4g} ms, {rivals}", file=sys.stderr)


if __name__ == "__main__":
    main()
