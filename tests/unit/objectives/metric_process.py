"""One of several processes that score a split together: `python -m tests.unit.objectives.metric_process RANK FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from atrcnas.spec.metrics import METRICS
from atrcnas.spec.tasks import TASKS, Task
from tests.unit.objectives.conftest import make_example

WORLD = 2
NUM_SAMPLES = 5
# Rank -> batches of samples. A rank may have fewer, or none at all.
SHARES: dict[str, tuple[list[list[int]], ...]] = {
    "uneven": ([[3], [0, 4, 1]], [[2]]),
    "none on the first": ([], [[0, 1], [2, 3, 4]]),
    "none on the second": ([[0, 1, 2, 3, 4]], []),
}


def figures(task: Task, batches: list[list[int]]) -> dict[str, float]:
    """Score the samples of ``batches``, and, in a process group, those of the other processes."""
    example = make_example(task, batch=NUM_SAMPLES)
    metric = METRICS[task.metric].build(example.task)
    for batch in batches:
        metric.update(example.decoded[batch], example.target[batch], example.valid[batch])
    return {name: float(value) for name, value in metric.compute().items()}


def main(rank: int, folder: Path) -> None:
    """Write each task's figures for each division."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    found = {task.name: {name: figures(task, share[rank]) for name, share in SHARES.items()} for task in TASKS}
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
