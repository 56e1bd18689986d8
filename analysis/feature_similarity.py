"""Where tasks should part in the encoder, by how alike single-task networks see the same images (RSA).

python -m analysis.feature_similarity EXPERIMENT --out DIR [--points stage1 stage2] [--images 100] [key=value ...]

Trains a network for each task alone by the experiment's `retrain` section, without contexts. After each searched segment of
the encoder, the dissimilarities of all pairs of images (one minus Pearson's correlation of their features) are compared
between tasks by Spearman's correlation. Of all trees, prints the best one at every cost: that whose groups hold tasks which
are least dissimilar. Writes feature_similarity.csv and trees.csv.

Source: Vandenhende et al., BMVC 2020 (branched multi-task networks). Differs: the best tree at every cost is exact and not
from a beam search; of large maps, evenly spaced values are taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from analysis.contextbench.one_run import Prepared, prepare, rendered
from atrcnas import ContextConfig, Experiment
from atrcnas.data.loading import validation_loader
from atrcnas.engine.branch_search import searched_points, segment_costs
from atrcnas.engine.splits import open_splits
from atrcnas.ground.files import write_text
from atrcnas.nn.encoder_parts import Part, State, maps_of, parts_of
from atrcnas.nn.net import MultiTaskNet
from atrcnas.sampling.partitions import Partition
from atrcnas.sampling.trees import Priced, as_branches, front
from atrcnas.spec.branch_search import BranchSearchSpec

Floats = NDArray[np.floating]
MOST_VALUES = 20_000  # of one image's features


def dissimilarities(features: Floats) -> Floats:
    """[N, D] features of N images to [N (N - 1) / 2], one minus Pearson's correlation of each pair."""
    return 1.0 - np.corrcoef(features)[np.triu_indices(len(features), 1)]


def similarities(features: Sequence[Floats]) -> Floats:
    """The features [N, D_t] of T tasks to [T, T], Spearman's correlation of their dissimilarities."""
    each = [dissimilarities(one) for one in features]
    found = np.eye(len(each))
    for first, second in combinations(range(len(each)), 2):
        found[first, second] = found[second, first] = spearmanr(each[first], each[second]).statistic
    return found


def dissimilarity_within(similar: Floats, partition: Partition) -> float:
    """Mean over the groups of the largest dissimilarity of two tasks in it; 0 for a task alone.

    Args:
        similar: [T, T] of one segment.
        partition: of the tasks.
    """
    tasks = np.arange(len(partition))
    groups = [tasks[np.array(partition) == group] for group in sorted(set(partition))]
    return float(np.mean([(1.0 - similar[np.ix_(group, group)]).max() for group in groups]))


def best_trees(similar: Sequence[Floats], costs: Sequence[float]) -> list[Priced]:
    """The least dissimilar tree at every cost.

    Args:
        similar: [T, T] of each segment.
        costs: of one copy of each segment.
    """
    return front(len(similar[0]), costs, lambda point, partition: dissimilarity_within(similar[point], partition))


def ends(parts: Sequence[Part], points: Sequence[str]) -> list[str]:
    """The last module of the segment after each point."""
    last = dict.fromkeys(points, "")
    at: str | None = None
    for part in parts:
        at = part.point if part.point in last else at
        if at is not None:
            last[at] = part.module
    return list(last.values())


@torch.no_grad()
def features_of(net: MultiTaskNet, modules: Sequence[str], prepared: Prepared, images: int) -> list[Floats]:
    """What some modules of the encoder give for the first validation images: [images, D] for each."""
    kept: dict[str, list[Tensor]] = {name: [] for name in modules}

    def keep(name: str, given: State) -> None:
        maps = torch.cat([one.flatten(1) for one in maps_of(given)], dim=1)
        kept[name].append(maps[:, :: -(-maps.shape[1] // MOST_VALUES)].clone())

    def hook(name: str) -> nn.Module:
        return net.backbone.body.get_submodule(name)

    handles = [hook(name).register_forward_hook(lambda _, __, given, name=name: keep(name, given)) for name in modules]
    net.eval()
    for batch in validation_loader(prepared.experiment, prepared.splits.val, 8, samples=range(images)):
        net.encode(batch.image, batch.image_valid)
    for handle in handles:
        handle.remove()
    return [torch.cat(found).double().numpy() for found in kept.values()]


def measure(experiment: Experiment, points: Sequence[str], images: int) -> list[Floats]:
    """Train each task alone; [T, T] similarities of the features after each point's segment."""
    by_task = []
    for task in experiment.tasks:
        alone = experiment.replace(tasks=[task])
        prepared = prepare(alone, ContextConfig.load("baseline"), rendered(alone))
        for _ in range(experiment.retrain.steps):
            prepared.step()
        net = prepared.training.weights.evaluated
        modules = ends(parts_of(net.backbone.body, experiment.backbone.name), points)
        by_task.append(features_of(net, modules, prepared, min(images, len(prepared.splits.val))))
        print(f"{task}: trained for {experiment.retrain.steps} steps", flush=True)
    return [similarities(found) for found in zip(*by_task, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points", nargs="*", default=(), help="where tasks may part [default: before each stage]")
    parser.add_argument("--images", type=int, default=100)
    args = parser.parse_intermixed_args()
    experiment = Experiment.load(args.experiment, ["data.workers=0", "devices=cpu", *args.overrides])
    points = searched_points(experiment, BranchSearchSpec(points=args.points))
    similar = measure(experiment, points, args.images)
    costs = segment_costs(experiment, points, open_splits(experiment).val[0].image.shape[:2])
    rows = [
        (point, first, second, table[i, j])
        for point, table in zip(points, similar, strict=True)
        for (i, first), (j, second) in combinations(enumerate(experiment.tasks), 2)
    ]
    table = pd.DataFrame(rows, columns=["point", "first", "second", "similarity"])
    write_text(args.out / "feature_similarity.csv", table.to_csv(index=False, float_format="%.4f"))
    best = best_trees(similar, costs)
    named = [(as_branches(one.tree, experiment.tasks, points).key, one.cost, one.score) for one in best]
    trees = pd.DataFrame(named, columns=["tree", "multiply_adds", "dissimilarity"])
    write_text(args.out / "trees.csv", trees.to_csv(index=False, float_format="%.6g"))
    print(table.to_string(index=False), trees.to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
