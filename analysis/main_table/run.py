"""Train the rows of a main table, one after the other.

python -m analysis.main_table.run rooms-small              every row that is missing
python -m analysis.main_table.run rooms-hrnet18 --system aspp-head wider --seed 3
python -m analysis.main_table.run rooms-small --minutes 8  begin no row after so long
python -m analysis.main_table.run camvid data.options.root=PATH/TO/camvid_small backbone.weights=PATH/TO/WEIGHTS

Started again it goes on where it was. Each system is trained as the rows of ContextBench are: all training images, the
last state, scored on the validation split, which nothing was chosen on. A search by gradient chooses on training images.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch

from analysis.contextbench.one_run import prepare_search, rendered, run
from analysis.filling import fill
from analysis.main_table.one_task import of_one_task, with_one_task
from analysis.main_table.planned import plan
from analysis.main_table.rows import COSTS, columns
from analysis.main_table.settings import SETTINGS
from analysis.main_table.systems import SINGLE, System, systems
from analysis.search_quality.supernets import kept
from atrcnas.contextbench import load
from atrcnas.contextbench.table import spell
from atrcnas.data.caching import Cached
from atrcnas.engine.costs import parameters
from atrcnas.engine.networks import context_config, fixed_network, with_model_of
from atrcnas.engine.step import take_step
from atrcnas.ground.errors import ConfigError
from atrcnas.launch.search import search
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.strategies import STRATEGIES

Data = Callable[[], tuple[Cached, Cached]]  # rendered when the first training asks


def in_bench(experiment: Experiment, contexts: ContextConfig) -> pd.Series[Any] | None:
    """The row of ContextBench, where this very network was trained with this seed."""
    bench = load("rooms-small")
    if (experiment.name, experiment.model) != (bench.experiment.name, bench.experiment.model):
        return None
    try:
        return bench.query(contexts, experiment.seed)
    except ConfigError:
        return None


def searched(experiment: Experiment, data: Data) -> tuple[ContextConfig, float]:
    """What the experiment's search finds, and its seconds, without those of rendering or reading batches."""
    if not STRATEGIES[experiment.search.strategy].by_gradient:
        asked = kept(experiment)
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            return search(asked, folder), time.process_time() - began
    (prepared, choice), seconds = prepare_search(experiment, data()), 0.0
    for batch in prepared.batches:
        began = time.process_time()
        take_step(prepared.training, batch)
        seconds += time.process_time() - began
    return context_config(experiment, choice.chosen(), Provenance()), seconds


def row(system: System, experiment: Experiment, data: Data) -> dict[str, Any]:
    """Search where the system is searched, then train and score it."""
    experiment = experiment.replace(**system.changes)
    contexts, seconds = system.contexts, 0.0
    if contexts is None:
        searching = experiment.replace(**system.searched_with)
        contexts, seconds = searched(
            searching, (lambda: rendered(searching)) if "data" in system.searched_with else data
        )
    if contexts.num_tasks == 1:
        return {"config": SINGLE, "search_seconds": 0.0, **apart(experiment, contexts, data)}
    kinds = contexts.kinds(experiment.tasks)
    config = spell(kinds, {pair: (kind,) for pair, kind in kinds.items()})
    return {"config": config, "search_seconds": round(seconds, 2), **trained(experiment, contexts, data)}


def apart(experiment: Experiment, contexts: ContextConfig, data: Data) -> dict[str, Any]:
    """A network for each task; what they cost is summed."""
    parts = [
        trained(with_one_task(experiment, name), contexts, lambda name=name: of_one_task(data(), name))
        for name in experiment.tasks
    ]
    summed = {key: sum(part[key] for part in parts) for key in COSTS}
    return {key: value for part in parts for key, value in part.items()} | summed


def trained(experiment: Experiment, contexts: ContextConfig, data: Data) -> dict[str, Any]:
    """One training's scores and losses after the last step, and costs; of ContextBench where it has them."""
    known = in_bench(experiment, contexts)
    found = run(experiment, contexts, data(), {"full": 1.0}) if known is None else known.to_dict()
    last = {key.removesuffix(".full"): value for key, value in found.items() if key.endswith(".full")}
    net = fixed_network(with_model_of(experiment, contexts), contexts)
    costs = {"parameters": parameters(net), "multiply_adds": int(found["multiply_adds"])}
    return {**last, **costs, "train_seconds": found["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--system", nargs="*", help="these alone")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("overrides", nargs="*", help="key=value, where your data and weights are")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no row after so long")
    args = parser.parse_intermixed_args()
    began, setting = time.monotonic(), SETTINGS[args.setting]
    torch.set_num_threads(1)
    experiment, known = setting.experiment(args.overrides), systems(setting)
    if unknown := sorted(set(args.system or ()) - set(known)):
        parser.error(f"--system: expected some of {', '.join(known)}, got {', '.join(unknown)}. Correct them.")
    entries = [
        (name, seed) for name, seed in plan(setting) if name in (args.system or known) and args.seed in (None, seed)
    ]
    data = functools.cache(lambda: rendered(experiment))

    def measure(name: str, seed: int) -> dict[str, Any]:
        return row(known[name], experiment.replace(seed=seed), data)

    for found in fill(setting.file("main_table"), columns(experiment), entries, measure, args.minutes):
        print(f"{time.monotonic() - began:.0f} s: {found}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
