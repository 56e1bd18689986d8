"""Time and peak memory of steps that are compared with each other."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from atrcnas.engine.devices import keep_freed_memory

Step = Callable[[int], None]


def begin(description: str | None, **numbers: int) -> argparse.Namespace:
    """Read ``--threads`` and one option for each of ``numbers`` (its default), and set the process up as a run does."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"threads": 2, **numbers}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    return args


def inference(compute: Callable[[], object]) -> Step:
    """A step without gradients."""

    def step(turn: int) -> None:
        with torch.inference_mode():
            compute()

    return step


def backward(maps: Sequence[Tensor]) -> None:
    """The backward pass from gradients of ones."""
    torch.autograd.backward(maps, [torch.ones_like(x) for x in maps])


def interleaved(steps: Mapping[str, Step], device: str, repeats: int, warmup: int = 1) -> dict[str, dict[str, Any]]:
    """Time steps in turns, so that a change of the machine's pace meets all of them.

    Args:
        steps: called with the number of the turn.
        device: "cuda" waits for the device before and after each step.
        repeats: timed turns; the order changes from turn to turn.
        warmup: turns before, not timed.

    Returns:
        For each step ``seconds`` (all turns), ``median_s``, and ``spread_s`` (lower and upper quartile).
    """
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for turn in range(-warmup, repeats):
            for name in names if turn % 2 else reversed(names):
                began = _now(device)
                steps[name](turn)
                took = _now(device) - began
                if turn >= 0:
                    seconds[name].append(took)
    finally:
        gc.enable()
    return {name: _summary(taken) for name, taken in seconds.items()}


def peak_mib(step: Step, device: str, turn: int = 0) -> float:
    """Most memory alive at once within a step, beyond what was alive before it, in MiB.

    On the CPU every allocation and release of PyTorch's allocator is counted; on a GPU the allocator's own peak.
    """
    if device == "cuda":
        step(turn)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(turn)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step(turn)
    changes = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak / 2**20


def ratios(ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Of medians; ``spread`` are the quartiles of the ratios turn by turn."""
    by_turn = [a / b for a, b in zip(ours["seconds"], other["seconds"], strict=True)]
    result = {"time": ours["median_s"] / other["median_s"], "time_spread": _quartiles(by_turn)}
    if "peak_mib" in ours and "peak_mib" in other:
        result["memory"] = ours["peak_mib"] / other["peak_mib"]
    return result


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _summary(seconds: list[float]) -> dict[str, Any]:
    return {"median_s": statistics.median(seconds), "spread_s": _quartiles(seconds), "seconds": seconds}


def _quartiles(values: list[float]) -> list[float]:
    if len(values) < 2:
        return [values[0], values[0]]
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return [lower, upper]
