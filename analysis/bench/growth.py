"""How time and memory of a soft step through the contexts grow: with tasks, pool, image area, batch and levels.

python -m analysis.bench.growth [--out JSON] [--figure PNG]

Measured is the refiner alone (all candidates of all pairs, forward and backward, logits included) on given task features
and label logits. Each sweep changes one size; the grey line grows in proportion to the number of pairs and pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from analysis.bench.__main__ import machine
from analysis.bench.measure import Step, backward, interleaved, peak_mib
from atrcnas.ground.files import write_json
from atrcnas.nn.relations import ContextRefiner
from atrcnas.plots import canvas
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import all_pairs
from atrcnas.spec.tasks import TASKS

REPEATS, NUM_LABELS, TAU = 5, 40, 0.7
POOL = ("none", "local", "global", "tlabel", "slabel", "mti")
# Width of the task features at each level: those of HRNet18.
WIDTHS = {4: 18, 8: 36, 16: 72, 32: 144}


@dataclass(frozen=True)
class Size:
    """One point of a sweep.

    Attributes:
        num_tasks: all of them targets and sources.
        pool_size: kinds of each pair.
        area: in units of 64 x 80 pixels.
        batch: images.
        levels: backbone scales.
    """

    num_tasks: int = 3
    pool_size: int = 6
    area: int = 4
    batch: int = 2
    levels: tuple[int, ...] = (4,)

    @property
    def pairs_and_pixels(self) -> float:
        """Number of pairs times pixels of their maps: what cost may grow with."""
        pixels = sum(self.batch * self.area * 64 * 80 / level**2 * WIDTHS[level] / WIDTHS[4] for level in self.levels)
        return self.num_tasks**2 * pixels


BASE = Size()
SWEEPS: dict[str, tuple[Sequence[Any], Sequence[Size]]] = {
    "tasks": (range(2, 7), [replace(BASE, num_tasks=n) for n in range(2, 7)]),
    "kinds in a pool": (range(2, 7), [replace(BASE, pool_size=n) for n in range(2, 7)]),
    "image area": ((1, 2, 4, 8, 16), [replace(BASE, area=n) for n in (1, 2, 4, 8, 16)]),
    "batch": ((1, 2, 4, 8), [replace(BASE, batch=n) for n in (1, 2, 4, 8)]),
    "levels": ((1, 2, 3, 4), [replace(BASE, levels=tuple(WIDTHS)[:n]) for n in (1, 2, 3, 4)]),
}


def soft_step(size: Size) -> Step:
    """Forward and backward of all levels' refiners."""
    torch.manual_seed(0)
    tasks = TASKS.names[: size.num_tasks]
    kinds = POOL[: size.pool_size]
    pools = {
        pair: tuple(kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal)
        for pair in all_pairs(tasks, size.levels)
    }
    sampler, parts = Sampler(pools), []
    for level in size.levels:
        own = {pair: pool for pair, pool in pools.items() if pair.level == level}
        refiner = ContextRefiner(own, WIDTHS[level]).to(memory_format=torch.channels_last)
        # 64 x 80 pixels, the area spread over rows and columns as evenly as powers of two allow.
        rows = 64 * 2 ** (size.area.bit_length() // 2) // level
        height, width = rows, 64 * 80 * size.area // level**2 // rows
        parts.append((refiner, _maps(tasks, size.batch, WIDTHS[level], height, width), level))
    labels = {level: _maps(tasks, size.batch, NUM_LABELS, *next(iter(f.values())).shape[-2:]) for _, f, level in parts}

    def step(turn: int) -> None:
        mixture = sampler.draw(turn, TAU)
        backward(
            [out for refiner, maps, level in parts for out in refiner(maps, labels[level], None, mixture).values()]
        )
        for module in (sampler, *(refiner for refiner, _, _ in parts)):
            nn.Module.zero_grad(module)
        for _, maps, level in parts:
            for leaf in (*maps.values(), *labels[level].values()):
                leaf.grad = None

    return step


def _maps(tasks: Sequence[str], batch: int, width: int, rows: int, columns: int) -> dict[str, torch.Tensor]:
    shape = (batch, width, rows, columns)
    return {task: torch.randn(shape).to(memory_format=torch.channels_last).requires_grad_() for task in tasks}


def measure() -> dict[str, Any]:
    """Each sweep -> its points: size, median seconds, quartiles, peak MiB."""
    found: dict[str, Any] = {}
    for name, (values, sizes) in SWEEPS.items():
        steps = {str(value): soft_step(size) for value, size in zip(values, sizes, strict=True)}
        taken = interleaved(steps, "cpu", REPEATS)
        found[name] = [
            {
                "value": value,
                "pairs_and_pixels": size.pairs_and_pixels,
                "median_s": taken[str(value)]["median_s"],
                "spread_s": taken[str(value)]["spread_s"],
                "peak_mib": peak_mib(steps[str(value)], "cpu"),
            }
            for value, size in zip(values, sizes, strict=True)
        ]
        last, first = found[name][-1], found[name][0]
        print(
            f"{name:16s} {first['value']} to {last['value']}: time {last['median_s'] / first['median_s']:.1f}x, "
            f"memory {last['peak_mib'] / first['peak_mib']:.1f}x, "
            f"pairs and pixels {last['pairs_and_pixels'] / first['pairs_and_pixels']:.1f}x",
            flush=True,
        )
    return found


def draw(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """A column for each sweep; time above, memory below."""
    rows = (("median_s", "milliseconds", 1e3), ("peak_mib", "MiB", 1.0))
    title = "Time and memory of a soft step through the contexts; grey: in proportion to pairs and pixels"
    with canvas.styled():
        figure, panels = canvas.panels(title, 2 * len(found), len(found), (2.4, 2.4))
        for place, (name, points) in enumerate(found.items()):
            x = [point["value"] for point in points]
            for row, (key, unit, scale) in enumerate(rows):
                axes = panels[row * len(found) + place]
                y = [scale * point[key] for point in points]
                even = [y[0] * point["pairs_and_pixels"] / points[0]["pairs_and_pixels"] for point in points]
                axes.plot(x, even, color=canvas.RULE, linewidth=2.5)
                axes.plot(x, y, color=canvas.INK, marker="o", markersize=3.5, linewidth=1.4)
                axes.set_ylim(0, 1.08 * max(*y, *even))
                axes.set_xticks(x)
                if row == 0:
                    axes.set_title(name)
                if place == 0:
                    axes.set_ylabel(unit)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    report = {"machine": machine("cpu"), "sweeps": measure()}
    if args.out:
        write_json(args.out, report)
    if args.figure:
        print(canvas.save(draw(report["sweeps"]), args.figure))


if __name__ == "__main__":
    main()
