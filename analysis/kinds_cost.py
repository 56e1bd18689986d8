"""What a pair of each kind costs: `python -m analysis.kinds_cost [--level 16]`.

Four pairs (two targets, two sources, a batch of one image of 256 x 320) as one module computes them, divided by four. The
width is that of task features over HRNet18-S: C = 67, d = 33. Multiply-adds and inference have BatchNorm folded and
parallel kernels merged; a step is forward and backward. Label branches, the fuse and what follows are not counted.
Milliseconds are medians of turns in which every kind runs once.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from analysis.bench.counting import multiply_adds
from analysis.bench.measure import Step, backward, begin, inference, interleaved
from atrcnas.ground.registry import resolve
from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.nn.fold import fold_contexts
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import all_pairs

IMAGE, WIDTH, NUM_LABELS = (256, 320), 67, 40
TARGETS, SOURCES = ("a", "b"), ("c", "d")
ROWS = tuple(range(len(TARGETS) * len(SOURCES)))


def made(kind: str, level: int) -> Context:
    pairs = all_pairs(TARGETS, [level], SOURCES)
    context: Context = resolve(KINDS[kind].module)(pairs, WIDTH, WIDTH // 2, False)
    return context.to(memory_format=torch.channels_last)


def drawn(level: int, learning: bool) -> ContextInputs:
    def maps(channels: int) -> dict[str, Tensor]:
        shape = (1, channels, *(side // level for side in IMAGE))
        values = {task: torch.randn(shape).to(memory_format=torch.channels_last) for task in TARGETS + SOURCES}
        return {task: x.requires_grad_(learning) for task, x in values.items()}

    return ContextInputs(maps(WIDTH), maps(NUM_LABELS), None)


def inference_of(context: Context, level: int) -> Step:
    folded = copy.deepcopy(context).eval()
    fold_contexts(folded)
    given = drawn(level, learning=False)
    return inference(lambda: folded(ContextInputs(given.features, given.labels, None), ROWS))


def step_of(context: Context, level: int) -> Step:
    given = drawn(level, learning=True)
    return lambda turn: backward(context(ContextInputs(given.features, given.labels, None), ROWS))


def main() -> None:
    args = begin(__doc__, repeats=15, level=4)
    contexts = {kind.name: made(kind.name, args.level) for kind in KINDS if kind.module is not None}
    deployed = {name: inference_of(context, args.level) for name, context in contexts.items()}
    counts = {name: multiply_adds(run) / 1e6 for name, run in deployed.items()}
    inferred = interleaved(deployed, "cpu", args.repeats, warmup=2)
    steps = {name: step_of(context, args.level) for name, context in contexts.items()}
    stepped = interleaved(steps, "cpu", args.repeats, warmup=2)
    print(f"{'kind':12s} {'parameters':>10s} {'10^6 multiply-adds':>18s} {'inference ms':>12s} {'step ms':>8s}")
    for name, context in contexts.items():
        each = [sum(p.numel() for p in context.parameters()), counts[name]]
        each += [1e3 * taken[name]["median_s"] for taken in (inferred, stepped)]
        parameters, mega, run_ms, step_ms = (value / len(ROWS) for value in each)
        print(f"{name:12s} {parameters:10.0f} {mega:18.1f} {run_ms:12.2f} {step_ms:8.2f}")


if __name__ == "__main__":
    main()
