"""What numbers the files of a task hold, before anything is known of their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrcnas.data.rasters import read_array
from atrcnas.spec.tasks import Task

MAX_FILES = 200


@dataclass(frozen=True)
class LabelNumbers:
    """Of the files that were read.

    Attributes:
        numbers: every number in files of whole numbers; empty for others.
        low: smallest number.
        high: largest number.
        whole: the files hold whole numbers.
        channels: of the files.
    """

    numbers: frozenset[int]
    low: float
    high: float
    whole: bool
    channels: int


def some(files: Sequence[Path]) -> list[Path]:
    """At most 200 of them, evenly spread."""
    return [files[place] for place in np.linspace(0, len(files) - 1, min(len(files), MAX_FILES)).astype(int)]


def label_numbers(task: Task, files: Sequence[Path]) -> LabelNumbers:
    """Read some of the files of a task.

    Raises:
        DataError: a file cannot be read.
    """
    numbers: set[int] = set()
    lows, highs, channels, whole = [], [], 1, True
    for path in some(files):
        raw = read_array(path, indexed=task.target == "classes")
        channels = max(channels, 1 if raw.ndim == 2 else raw.shape[2])
        whole &= raw.dtype.kind in "iub"
        finite = raw[np.isfinite(raw)] if raw.dtype.kind == "f" else raw
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
        if raw.dtype.kind in "iub" and task.target == "classes":
            numbers.update(np.unique(raw).tolist())
    return LabelNumbers(frozenset(numbers), min(lows, default=0.0), max(highs, default=0.0), whole, channels)
