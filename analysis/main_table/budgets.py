"""Ten searches within three latencies: do the networks they choose keep to them, as deployed files?

python -m analysis.main_table.budgets rooms-small
python -m analysis.main_table.budgets rooms-small --time-again    what was found, once the machine is quiet

Each searches the wide pool with `search.budget: {latency_ms: ...}` by the costs that analysis.main_table.costs measured,
in ONNX Runtime on one thread. The network it chose is written as ONNX and timed in turns with the one without contexts,
in the milliseconds of the table. Started again it goes on where it was; rows are in analysis/results/budgets_SETTING.csv.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator
from typing import Any

import torch

from analysis.contextbench.one_run import rendered
from analysis.filling import fill, read
from analysis.main_table.costs import beside_bare, searching
from analysis.main_table.rows import kinds_of
from analysis.main_table.run import searched
from analysis.main_table.settings import SETTINGS, Setting
from atrcnas.contextbench.table import spell
from atrcnas.costs.table import BASE, CostTable
from atrcnas.engine.cost_table import pools_of
from atrcnas.engine.networks import fixed_network
from atrcnas.runs.tables import Columns, Table
from atrcnas.spec.context_config import ContextConfig

BUDGETS = "budgets"
SEARCHES, TIMES_BASE = 10, (1.2, 1.4, 1.7)
FORM: Columns = {"seed": int, "budget_ms": float, "config": str, "predicted_ms": float, "measured_ms": float}


def lines(setting: Setting) -> Iterator[str]:
    """A row per search."""
    yield "| seed | budget, ms | found | predicted, ms | measured, ms | of the budget |"
    yield "|---|---|---|---|---|---|"
    for row in read(setting.file(BUDGETS), FORM).itertuples():
        times = f"{row.budget_ms:.3f} | `{row.config}` | {row.predicted_ms:.3f} | {row.measured_ms:.3f}"
        yield f"| {row.seed} | {times} | {row.measured_ms / row.budget_ms:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--time-again", action="store_true", help="search nothing; write all rows anew")
    args = parser.parse_args()
    setting = SETTINGS[args.setting]
    torch.set_num_threads(1)
    experiment, costs = searching(setting), setting.costs
    pools = pools_of(experiment)
    measured = CostTable.load(costs, pools)
    base_ms = measured.costs["latency_ms"][BASE]
    time, data = beside_bare(setting, experiment, measured), functools.cache(lambda: rendered(experiment))

    def taken(contexts: ContextConfig) -> float:
        return time(fixed_network(experiment, contexts))

    def measure(seed: int) -> dict[str, Any]:
        budget = round(base_ms * TIMES_BASE[seed % len(TIMES_BASE)], 4)
        within = {"budget": {"latency_ms": budget}, "costs": str(costs)}
        contexts, _ = searched(experiment.replace(seed=seed, search=within), data)
        kinds = contexts.kinds(experiment.tasks)
        times = {"predicted_ms": measured.predict(kinds, "latency_ms"), "measured_ms": taken(contexts)}
        return {"budget_ms": budget, "config": spell(kinds, pools), **times}

    if args.time_again:
        rows = read(setting.file(BUDGETS), FORM)
        rows["measured_ms"] = [
            taken(ContextConfig.from_kinds(kinds_of(config, experiment.tasks))) for config in rows["config"]
        ]
        Table(setting.file(BUDGETS), tuple(FORM)).begin(rows[list(FORM)].itertuples(index=False, name=None))
        return
    for row in fill(setting.file(BUDGETS), FORM, [(seed,) for seed in range(SEARCHES)], measure):
        times = f"predicted {row['predicted_ms']:.4g}, measured {row['measured_ms']:.4g}"
        print(f"seed {row['seed']}: {row['budget_ms']} ms, {times}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
