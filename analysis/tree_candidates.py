"""Encoder trees to compare a chosen one with: all shared, all apart, and random ones of equal cost.

python -m analysis.tree_candidates EXPERIMENT --like contexts.yaml --out DIR [--count 5] [--tolerance 0.02] [--points ...]
    [key=value ...]

Each is written as a context config with the kinds of ``--like``, to be trained by `atrcnas retrain EXPERIMENT --contexts`.
Cost is that of the encoder from the first searched point on, in multiply-adds for one validation image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from atrcnas import ContextConfig, Experiment
from atrcnas.engine.branch_search import searched_points, segment_costs
from atrcnas.engine.networks import with_model_of
from atrcnas.engine.splits import open_splits
from atrcnas.sampling.random_trees import random_trees
from atrcnas.sampling.trees import Tree, apart, as_branches, cost_of, shared, tree_of
from atrcnas.spec.branch_search import BranchSearchSpec
from atrcnas.spec.branches import Branches
from atrcnas.spec.model import ModelPart


def with_branches(config: ContextConfig, branches: Branches) -> ContextConfig:
    """The same context config on another encoder."""
    model = ModelPart.model_validate({**config.model.given(), "branches": branches.as_mapping()})
    return config.model_copy(update={"model": model})


def candidates(like: Tree, costs: list[float], count: int, tolerance: float, seed: int) -> dict[str, Tree]:
    """All shared, all apart, and at most ``count`` random trees, all different and none of them ``like``."""
    num_tasks, num_points = len(like[0]), len(like)
    found = {"shared": shared(num_tasks, num_points), "apart": apart(num_tasks, num_points)}
    drawn = random_trees(num_tasks, costs, cost_of(like, costs), tolerance, 20 * count, seed)
    others = [tree for tree in dict.fromkeys(drawn) if tree != like and tree not in found.values()]
    return found | {f"random-{number}": tree for number, tree in enumerate(others[:count])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--like", required=True, help="context config whose encoder is to be matched")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--tolerance", type=float, default=0.02, help="of the cost, as a share of it")
    parser.add_argument("--points", nargs="*", default=(), help="where tasks may part [default: before each stage]")
    args = parser.parse_intermixed_args()
    if not (args.count >= 1 and args.tolerance > 0):
        parser.error(f"expected --count of at least 1 and --tolerance above 0, got {args.count} and {args.tolerance}.")
    config = ContextConfig.load(args.like)
    experiment = with_model_of(Experiment.load(args.experiment, args.overrides), config)
    tasks, points = experiment.all_tasks, searched_points(experiment, BranchSearchSpec(points=args.points))
    like = tree_of(Branches.of(experiment.model.branches, tasks, points))
    costs = segment_costs(experiment, points, open_splits(experiment).val[0].image.shape[:2])
    print(f"like: {cost_of(like, costs):.6g} multiply-adds, {as_branches(like, tasks, points).key}")
    for name, tree in candidates(like, costs, args.count, args.tolerance, experiment.seed).items():
        branches, path = as_branches(tree, tasks, points), args.out / f"{name}.yaml"
        with_branches(config, branches).save(path)
        print(f"{path}: {cost_of(tree, costs):.6g} multiply-adds, {branches.key}")


if __name__ == "__main__":
    main()
