"""What averaging gradients after the backward pass costs: its share of a search step on two processes of this machine.

python -m analysis.bench.exchange [EXPERIMENT] [key=value ...]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from atrcnas import Experiment
from atrcnas.engine.networks import supernet
from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.averaging import average

WORLD, STEPS, SKIPPED = 2, 12, 2


def measure(rank: int, experiment: Experiment, rendezvous: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORLD)
    net = supernet(experiment)
    parameters = list(net.parameters())
    mixture = Mixture.from_weights(
        {pair: dict.fromkeys(kinds, 1 / len(kinds)) for pair, kinds in net.candidates.items()}
    )
    image = torch.rand(experiment.search.batch_size // WORLD, 3, *experiment.data_options().image_size)
    computing, exchanging = [], []
    for _ in range(STEPS):
        net.zero_grad()
        began = time.perf_counter()
        outputs = net(image, None, mixture)
        torch.stack([x.square().mean() for x in outputs.predictions.values()]).sum().backward()
        dist.barrier()  # waiting for the slower process is no cost of the exchange
        done = time.perf_counter()
        average(parameter.grad for parameter in parameters if parameter.grad is not None)
        exchanging.append(time.perf_counter() - done)
        computing.append(done - began)
    if rank == 0:
        compute, exchange = (statistics.median(times[SKIPPED:]) * 1e3 for times in (computing, exchanging))
        size = sum(parameter.numel() for parameter in parameters) / 1e6
        line = f"{size:.2f} M parameters: forward and backward {compute:.0f} ms, exchange {exchange:.1f} ms, "
        Path(out).write_text(line + f"{exchange / (compute + exchange):.1%} of both", encoding="utf-8")
    dist.destroy_process_group()


def main() -> None:
    name, *overrides = sys.argv[1:] or ["rooms"]
    experiment = Experiment.load(name, overrides)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "line")  # noqa: PTH118
        processes.spawn(measure, (experiment, os.path.join(folder, "meeting"), out), nprocs=WORLD)  # noqa: PTH118
        print(Path(out).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
