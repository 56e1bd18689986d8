"""Search on an experiment, retrain the answer and the multi-task baseline equally long, and report Delta_m.

python -m analysis.searched_vs_baseline rooms --seeds 0 1 --out analysis/results/rooms.json [key=value ...]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.engine.devices import surroundings
from atrcnas.ground.files import write_json
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.sampling.sampler import Sampler


def first_scores(results: dict[str, Any]) -> dict[str, float]:
    return {task: next(iter(figures.values())) for task, figures in results["scores"].items()}


def study(experiment: Experiment, run: Path, others: list[str]) -> dict[str, Any]:
    """One seed: the searched config, the baseline, and any other presets."""
    began = time.monotonic()
    contexts = search(experiment, run / "searched")
    seconds = time.monotonic() - began
    results = {"searched": retrain(experiment, contexts, run / "searched")}
    for preset in ["baseline", *others]:
        results[preset] = retrain(experiment, ContextConfig.load(preset), run / preset)
    tasks = [task for name, task in experiment.resolved_tasks().items() if name in experiment.tasks]
    reference = first_scores(results["baseline"])
    pools = experiment.search_space().pools(experiment.tasks, experiment.all_tasks)
    return {
        "seed": experiment.seed,
        "search_seconds": round(seconds, 1),
        "pairs": {str(pair): kind for pair, kind in contexts.kinds(experiment.tasks, experiment.all_tasks).items()},
        "entropy_share": mean_entropy(contexts) / Sampler(pools).uniform_entropy(),
        "scores": {name: first_scores(one) for name, one in results.items()},
        "costs": {name: one["costs"] for name, one in results.items()},
        "delta_m_percent": {
            name: multi_task_gain(first_scores(one), reference, tasks) for name, one in results.items()
        },
    }


def mean_entropy(contexts: ContextConfig) -> float:
    """Mean entropy of the final probabilities, nats."""
    import math

    rows = contexts.provenance.probabilities.values()
    return statistics.mean(-sum(p * math.log(p) for p in row.values() if p > 0) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--presets", nargs="*", default=[])
    parser.add_argument("--run", type=Path, default=Path("runs/study"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_intermixed_args()
    rows = []
    for seed in args.seeds:
        experiment = Experiment.load(args.experiment, [*args.overrides, f"seed={seed}"])
        rows.append(study(experiment, args.run / f"seed{seed}", args.presets))
        write_json(args.out, {"experiment": experiment.dump(), "environment": surroundings(experiment), "seeds": rows})
    for name in rows[0]["delta_m_percent"]:
        gains = [row["delta_m_percent"][name] for row in rows]
        spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
        print(f"{name}: Delta_m {statistics.mean(gains):+.2f} % (spread {spread:.2f}, {len(gains)} seeds)")


if __name__ == "__main__":
    main()
