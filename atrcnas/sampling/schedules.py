"""Schedules as pure functions of the step, so that a resumed run continues exactly."""

from __future__ import annotations


def linear(ends: tuple[float, float], step: int, steps: int) -> float:
    """From ``ends[0]`` at step 0 linearly towards ``ends[1]``, which step ``steps`` (the first not taken) would have."""
    return ends[0] + (ends[1] - ends[0]) * (step / steps)


def poly(first: float, power: float, step: int, steps: int) -> float:
    """``first * (1 - step / steps) ** power``."""
    return float(first * (1 - step / steps) ** power)
