"""Ten searches within three latencies: do the networks they choose keep to them, as deployed files?

python -m analysis.main_table.budgets rooms-small

Each searches the wide pool with `search.budget: {latency_ms: ...}` by the costs that analysis.main_table.costs measured,
in ONNX Runtime on one thread. The network it chose is written as ONNX and timed in turns with the one without contexts,
in the milliseconds of the table. Started again it goes on where it was; rows are in analysis/results/budgets_SETTING.csv.
"""

from __future__ import annotations

import argparse
import functools
import sys

import torch

from analysis.contextbench.one_run import rendered
from analysis.main_table.costs import REPEATS, RUNTIME, searching
from analysis.main_table.run import searched
from analysis.main_table.settings import SETTINGS
from atrcnas.contextbench.table import spell
from atrcnas.costs.table import BASE, CostTable
from atrcnas.deploy.timed_costs import in_turns, runner
from atrcnas.engine.cost_table import pools_of
from atrcnas.engine.networks import fixed_network
from atrcnas.runs.tables import Columns, Table, read_table
from atrcnas.spec.context_config import ContextConfig

SEARCHES, TIMES_BASE = 10, (1.2, 1.4, 1.7)
FORM: Columns = {"seed": int, "budget_ms": float, "config": str, "predicted_ms": float, "measured_ms": float}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS))
    setting = SETTINGS[parser.parse_args().setting]
    torch.set_num_threads(1)
    experiment, costs = searching(setting), setting.file("costs")
    pools = pools_of(experiment)
    measured = CostTable.load(costs, pools)
    base_ms = measured.costs["latency_ms"][BASE]
    image = torch.rand(1, 3, *experiment.data.options["image_size"])
    bare = ContextConfig.from_kinds(dict.fromkeys(pools, "none"))
    base = runner(fixed_network(experiment, bare), image, RUNTIME)
    table = Table(setting.file("budgets"), tuple(FORM))
    if not table.path.is_file():
        table.begin()
    done = set(read_table(table.path, FORM)["seed"])
    data = functools.cache(lambda: rendered(experiment))
    for seed in sorted(set(range(SEARCHES)) - done):
        budget = round(base_ms * TIMES_BASE[seed % len(TIMES_BASE)], 4)
        within = {"budget": {"latency_ms": budget}, "costs": str(costs)}
        contexts, _ = searched(experiment.replace(seed=seed, search=within), data)
        ours, without = in_turns(runner(fixed_network(experiment, contexts), image, RUNTIME), base, image, REPEATS)
        kinds = contexts.kinds(experiment.tasks)
        predicted, taken = measured.predict(kinds, "latency_ms"), ours / without * base_ms
        table.append([(seed, budget, spell(kinds, pools), predicted, taken)])
        print(f"seed {seed}: {budget} ms, predicted {predicted:.4g}, measured {taken:.4g}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
