"""Which tasks should be trained together, by how a step for one changes the losses of the others (TAG).

python -m analysis.gradient_affinity EXPERIMENT --out DIR [--every 10] [key=value ...]

Trains the network in which all tasks share the encoder, by the experiment's `retrain` section, without contexts. Now and then
it looks what would happen: the shared weights take a step along the gradient of one task's loss, the losses of all tasks on
the same batch are computed again, and the step is taken back. Z_ij = 1 - L_j after / L_j before, averaged over the training,
says how much a step for i helps j. For each number of groups, prints that division of the tasks in which each is helped most
by the others of its group. Writes gradient_affinity.csv and groups.csv.

Source: Fifty et al., NeurIPS 2021 (task affinity grouping). Differs: the look-ahead is a plain gradient step as long as the
last real step of the shared weights, whatever the optimiser; each task is in one group.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.contextbench.one_run import prepare, rendered
from atrcnas import ContextConfig, Experiment
from atrcnas.engine.step import take_step
from atrcnas.engine.training import Training
from atrcnas.ground.files import write_text
from atrcnas.sampling.partitions import Partition, groups_of, num_groups, partitions

Floats = NDArray[np.floating]


def lookahead(
    losses: Callable[[], Mapping[str, Tensor]], shared: Sequence[nn.Parameter], length: float
) -> dict[tuple[str, str], float]:
    """How much a step for each task helps each task.

    Args:
        losses: computes task -> its loss with the weights as they are.
        shared: weights that all tasks use; unchanged afterwards.
        length: norm of the step.

    Returns:
        (i, j) -> ``1 - L_j after the step for i / L_j before``.
    """
    before, found = losses(), {}
    kept = [parameter.detach().clone() for parameter in shared]
    gradients = {
        task: torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True) for task, loss in before.items()
    }
    for task, own in gradients.items():
        whole = [torch.zeros_like(at) if one is None else one for one, at in zip(own, kept, strict=True)]
        norm = float(torch.linalg.vector_norm(torch.stack([one.norm() for one in whole]))) or 1.0
        with torch.no_grad():
            for parameter, gradient in zip(shared, whole, strict=True):
                parameter.sub_(gradient, alpha=length / norm)
            after = losses()
            for parameter, at in zip(shared, kept, strict=True):
                parameter.copy_(at)
        found |= {(task, other): 1.0 - float(after[other]) / float(before[other].detach()) for other in before}
    return found


def help_within(affinity: Floats, partition: Partition) -> float:
    """Sum over the tasks of the mean help from the others of its group; 0 for a task alone.

    Args:
        affinity: [T, T], how much a step for i (row) helps j (column).
        partition: of the tasks.
    """
    groups = np.array(partition)
    total = 0.0
    for task, group in enumerate(partition):
        others = np.flatnonzero((groups == group) & (np.arange(len(groups)) != task))
        total += float(affinity[others, task].mean()) if len(others) else 0.0
    return total


def best_groups(affinity: Floats) -> dict[int, Partition]:
    """For each number of groups, the division of the tasks with the most help within them, by going through all."""
    found: dict[int, Partition] = {}
    for one in sorted(partitions(len(affinity)), key=lambda partition: -help_within(affinity, partition)):
        found.setdefault(num_groups(one), one)
    return dict(sorted(found.items()))


def measure(training: Training, batches: Sequence[object], every: int) -> Floats:
    """Train to the last step; [T, T] affinities averaged over the looks."""
    tasks, net = list(training.tasks), training.weights.net
    shared = [parameter for parameter in net.backbone.parameters() if parameter.requires_grad]
    looks = []
    for batch in batches:
        before = [parameter.detach().clone() for parameter in shared]
        take_step(training, batch)
        if training.step % every:
            continue
        moved = [float((now.detach() - was).norm()) for now, was in zip(shared, before, strict=True)]
        buffers = [buffer.clone() for buffer in net.buffers()]
        found = lookahead(
            lambda batch=batch: training.losses(batch, [None]).live(), shared, float(np.linalg.norm(moved))
        )
        for buffer, was in zip(net.buffers(), buffers, strict=True):
            buffer.copy_(was)
        looks.append([[found[first, second] for second in tasks] for first in tasks])
    return np.mean(looks, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=10, help="steps between two looks")
    args = parser.parse_intermixed_args()
    experiment = Experiment.load(args.experiment, ["data.workers=0", "devices=cpu", *args.overrides])
    if not 1 <= args.every <= experiment.retrain.steps:
        parser.error(f"--every: expected 1 to {experiment.retrain.steps}, the training steps, got {args.every}.")
    prepared = prepare(experiment, ContextConfig.load("baseline"), rendered(experiment))
    affinity = measure(prepared.training, prepared.batches, args.every)
    tasks = list(experiment.tasks)
    table = pd.DataFrame(affinity, index=pd.Index(tasks, name="step for"), columns=tasks)
    write_text(args.out / "gradient_affinity.csv", table.to_csv(float_format="%.6f"))
    rows = [
        (number, "|".join("+".join(group) for group in groups_of(one, tasks)), help_within(affinity, one))
        for number, one in best_groups(affinity).items()
    ]
    groups = pd.DataFrame(rows, columns=["groups", "division", "help"])
    write_text(args.out / "groups.csv", groups.to_csv(index=False, float_format="%.6f"))
    print(table.to_string(float_format="{:.5f}".format), groups.to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
