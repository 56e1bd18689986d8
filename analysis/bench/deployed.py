"""Exported networks in ONNX Runtime against the exported multi-task baseline: one image, one thread, float32.

`python -m analysis.bench.deployed` prints what arithmetic alone would have them cost.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from analysis.bench.heads import PRESET, Setup, network, preset
from analysis.bench.measure import interleaved, ratios
from atrcnas.deploy.export import export
from atrcnas.deploy.loading import Run, load_exported
from atrcnas.engine.costs import multiply_adds
from atrcnas.engine.recalibrate import give_statistics
from atrcnas.nn.net import MultiTaskNet

SMALL, LARGE = (128, 160), (480, 640)
CONFIGS = {"global": "`global` everywhere", "local": "`local` everywhere", PRESET: "published config"}
TOLERANCE = 1e-2  # with the statistics of random images rounding shows more than in a trained network


def untrained(config: str, size: tuple[int, int]) -> MultiTaskNet:
    """The network of a preset, or of one kind for every pair."""
    setup = Setup(batch=1, image_size=size)
    kinds = preset(setup, PRESET if config in CONFIGS else config)
    return network(setup, kinds if config not in CONFIGS or config == PRESET else dict.fromkeys(kinds, (config,)))


@functools.cache
def exported(config: str, size: tuple[int, int]) -> Run:
    """What runs the file of :func:`untrained`."""
    net = give_statistics(untrained(config, size), torch.rand(2, 3, *size))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        export(net, size, path, tolerance=TOLERANCE)
        return load_exported(path, trusted=True).run


def against_baseline(config: str, size: tuple[int, int]) -> Callable[[Setup, int], dict[str, Any]]:
    """What measures one row; whatever the setup of the others, on the CPU."""

    def run(setup: Setup, repeats: int) -> dict[str, Any]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            ours, baseline = exported(config, size), exported("baseline", size)
        finally:
            torch.set_num_threads(threads)
        image = torch.rand(1, 3, *size)
        steps = {"ours": lambda turn: ours(image), "baseline": lambda turn: baseline(image)}
        sides = interleaved(steps, "cpu", 4 * repeats if size == SMALL else repeats, warmup=2)
        return {"sides": sides, "ratio": ratios(*sides.values())}

    return run


if __name__ == "__main__":
    baseline = multiply_adds(untrained("baseline", SMALL), SMALL)
    for name, words in CONFIGS.items():
        print(
            f"{words:20s} {multiply_adds(untrained(name, SMALL), SMALL) / baseline:.2f}x of the baseline's multiply-adds"
        )
