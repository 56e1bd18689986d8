"""Where the tiled 3x3 convolution of task features pays: `python -m analysis.bench.winograd`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.bench.measure import Step, begin, interleaved
from atrcnas.nn.winograd import conv3x3, pays

# batch, C, height, width, tasks, channels of each task
SHAPES = [
    (2, 32, 32, 40, 2, 16), (4, 96, 24, 32, 2, 32), (4, 96, 24, 32, 4, 24), (8, 200, 24, 32, 4, 32),
    (2, 270, 10, 12, 4, 67), (2, 270, 32, 40, 4, 67), (2, 270, 64, 80, 4, 67), (1, 270, 107, 140, 4, 67),
    (2, 720, 32, 40, 4, 180),
]  # fmt: skip


def main() -> None:
    args = begin(__doc__, repeats=7)
    print(f"{'B, C, H, W, tasks, C of each':34s} {'direct ms':>10s} {'tiled ms':>10s} {'ratio':>6s}  used")
    for shape in SHAPES:
        batch, width, *size, tasks, out = shape
        x = torch.randn(batch, width, *size).to(memory_format=torch.channels_last).requires_grad_()
        weights = [torch.randn(out, width, 3, 3, requires_grad=True) for _ in range(tasks)]
        grads = [torch.randn(batch, out, *size).to(memory_format=torch.channels_last) for _ in weights]
        taken = interleaved(steps(x, weights, grads), "cpu", args.repeats, warmup=2)
        direct, tiled = (1e3 * taken[name]["median_s"] for name in ("direct", "tiled"))
        print(
            f"{shape!s:34s} {direct:10.1f} {tiled:10.1f} {tiled / direct:6.2f}  {'yes' if pays(x, weights) else 'no'}"
        )


def steps(x: Tensor, weights: list[Tensor], grads: list[Tensor]) -> dict[str, Step]:
    """Forward and backward of all tasks."""

    def direct(turn: int) -> None:
        torch.autograd.backward([F.conv2d(x, weight, padding=1) for weight in weights], grads)

    def tiled(turn: int) -> None:
        torch.autograd.backward(conv3x3(x, weights), grads)

    return {"direct": direct, "tiled": tiled}


if __name__ == "__main__":
    main()
