"""Comparing scores that may be NaN."""

from __future__ import annotations

import math


def comparable(score: float) -> float:
    """The score itself, higher being better; NaN, which compares with nothing, is the worst."""
    return -math.inf if math.isnan(score) else score
