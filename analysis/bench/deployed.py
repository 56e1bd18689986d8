"""Exported networks in ONNX Runtime against the exported multi-task baseline: one image, one thread, float32."""

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
from atrcnas.engine.recalibrate import give_statistics

SMALL, LARGE = (128, 160), (480, 640)
CONFIGS = {"global": "`global` everywhere", "local": "`local` everywhere", PRESET: "published config"}
TOLERANCE = 1e-2  # with the statistics of random images rounding shows more than in a trained network


@functools.cache
def exported(config: str, size: tuple[int, int]) -> Run:
    """The network of a preset, or of one kind for every pair, from its file."""
    setup = Setup(batch=1, image_size=size)
    kinds = preset(setup, PRESET if config in CONFIGS else config)
    candidates = kinds if config not in CONFIGS or config == PRESET else dict.fromkeys(kinds, (config,))
    net = give_statistics(network(setup, candidates), torch.rand(2, 3, *size))
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
