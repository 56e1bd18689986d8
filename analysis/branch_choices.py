"""Which trees a search of branches, RSA and TAG choose in the experiment of `analysis.branch_table`.

python -m analysis.branch_choices [--out analysis/results/branch_choices.csv]

The search runs once for each cost weight, as long as a row of the table trains; RSA gives a tree for every cost and TAG one
for every number of groups. Started again it goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

from analysis import feature_similarity, gradient_affinity
from analysis.branch_table import POINTS, experiment_of
from analysis.contextbench.one_run import prepare, prepare_search, rendered
from analysis.places import RESULTS
from atrcnas import ContextConfig, Experiment
from atrcnas.engine.branch_choice import BranchChoice
from atrcnas.engine.branch_search import segment_costs
from atrcnas.engine.splits import open_splits
from atrcnas.ground.files import write_text
from atrcnas.sampling.trees import Tree, as_branches

OUT = RESULTS / "branch_choices.csv"
COST_WEIGHTS = (0.0, 10.0, 100.0, 1000.0)  # per 10^9 multiply-adds, of which the encoder has 0.002 to 0.006
COLUMNS = ("method", "setting", "tree")


def searched(experiment: Experiment, cost_weight: float) -> str:
    """The tree that a search with this cost weight ends with."""
    branches = {"contexts": "none", "points": POINTS, "cost_weight": cost_weight, "logits_learning_rate": 0.05}
    experiment = experiment.replace(search={"branches": {**branches, "warm_up": 0.1}})
    prepared, choice = prepare_search(experiment, rendered(experiment))
    assert isinstance(choice, BranchChoice)
    for _ in range(experiment.search.steps):
        prepared.step()
    cost = choice.schedule_values(experiment.search.steps - 1)["expected_encoder_cost"]
    print(f"search, cost weight {cost_weight:g}: {choice.tree().key}, expected cost {cost:.6f}", flush=True)
    return choice.tree().key


def by_similarity(experiment: Experiment) -> list[Tree]:
    """RSA's tree at every cost, the cheapest first."""
    similar = feature_similarity.measure(experiment, POINTS, 100)
    costs = segment_costs(experiment, POINTS, open_splits(experiment).val[0].image.shape[:2])
    return [one.tree for one in feature_similarity.best_trees(similar, costs)]


def by_affinity(experiment: Experiment) -> list[Tree]:
    """TAG's division for every number of groups; what is a group shares all of the encoder."""
    prepared = prepare(experiment, ContextConfig.load("baseline"), rendered(experiment))
    affinity = gradient_affinity.measure(prepared.training, prepared.batches, every=5)
    print(f"TAG:\n{affinity}", flush=True)
    return [(groups,) * len(POINTS) for groups in gradient_affinity.best_groups(affinity).values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    experiment = experiment_of(0)
    steps = experiment.retrain.steps
    recipe = [f"search.steps={steps}", "search.held_out=0.2", f"search.validate_every={steps}", "model.refine=false"]
    rows = pd.read_csv(args.out).values.tolist() if args.out.is_file() else []

    def keep(method: str, found: list[tuple[float, str]]) -> None:
        rows.extend((method, setting, tree) for setting, tree in found)
        write_text(args.out, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))

    done = {(method, setting) for method, setting, _ in rows}
    for weight in COST_WEIGHTS:
        if ("search", weight) not in done:
            keep("search", [(weight, searched(experiment_of(0, recipe), weight))])
    for method, chosen in (("RSA", by_similarity), ("TAG", by_affinity)):
        if method not in {name for name, _ in done}:
            trees = chosen(experiment)
            keep(method, [(place, as_branches(tree, experiment.tasks, POINTS).key) for place, tree in enumerate(trees)])


if __name__ == "__main__":
    main()
