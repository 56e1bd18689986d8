"""One colour per class, the same in every picture and for every number of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrcnas.spec.tasks import Task

MAX_CLASSES = 256


def palette(num_classes: int) -> NDArray[np.uint8]:
    """Colours that stay apart for normal and for red-green-blind sight, as ``analysis/palette.py`` chose them.

    A longer palette begins with the shorter ones, so a class keeps its colour whatever the data set's size.

    Args:
        num_classes: K in [1, 256].

    Returns:
        [K, 3] uint8 RGB.

    Raises:
        ValueError: K out of range.
    """
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"palette: expected 1 to {MAX_CLASSES} classes, got {num_classes}.")
    written = bytes.fromhex(Path(__file__).with_suffix(".txt").read_text("ascii"))
    return np.frombuffer(written, np.uint8).reshape(MAX_CLASSES, 3)[:num_classes].copy()


def class_palette(task: Task) -> NDArray[np.uint8]:
    """Colours of a task's classes, [256, 3] uint8 RGB: its own, where it has some, then those of the package."""
    colours = palette(MAX_CLASSES)
    own = np.array(task.class_colours[:MAX_CLASSES], np.uint8).reshape(-1, 3)
    colours[: len(own)] = own
    return colours
