"""Prediction and truth maps as RGB pictures, by what the task table says of their display."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from atrcnas.plots.palette import MAX_CLASSES, class_palette
from atrcnas.spec.tasks import Task

Range = tuple[float, float]


def colourise(
    task: Task, array: NDArray[Any], valid: NDArray[np.bool_] | None = None, value_range: Range | None = None
) -> NDArray[np.uint8]:
    """Draw one map.

    Args:
        task: says how: class palette, colour map, or normals as RGB = (n + 1) / 2.
        array: [H, W] class indices, [H, W] numbers or [H, W, 3] vectors; read only where ``valid``.
        valid: [H, W] bool, True where there is a value; None for everywhere. Elsewhere, and where a value is
            not finite, the picture is striped grey.
        value_range: values at the two ends of the colour map; None for the task's ``display_range``, else the
            map's own.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        ValueError: a shape that does not fit the task, or a class index outside of [0, 256).
    """
    array, size = np.asarray(array), np.shape(array)[:2]
    shape, channels = ("[H, W, 3]", (3,)) if task.display == "vector" else ("[H, W]", ())
    if len(size) < 2 or array.shape[2:] != channels:
        raise ValueError(f"task '{task.name}': expected an array {shape}, got {list(array.shape)}.")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"task '{task.name}': expected numbers, got an array of {array.dtype}.")
    if valid is not None and np.shape(valid) != size:
        raise ValueError(f"task '{task.name}': expected valid {list(size)}, got {list(np.shape(valid))}.")
    shown = np.isfinite(array).reshape(*size, -1).all(axis=2) & (True if valid is None else np.asarray(valid, bool))
    values = np.where(shown.reshape(*size, *(1 for _ in channels)), array, 0)
    if task.display == "palette":
        indices = np.round(values).astype(np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < MAX_CLASSES:
            expected, got = f"0 to {MAX_CLASSES - 1}", f"{indices.min()} to {indices.max()}"
            raise ValueError(f"task '{task.name}': expected class indices {expected} where valid, got {got}.")
        picture = class_palette(task)[indices]
    elif task.display == "vector":
        picture = np.round((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    else:
        share = Normalize(*(value_range or own_range(task, array[shown])))(values.astype(np.float64))
        picture = colormaps[task.display](share, bytes=True)[..., :3]
    return np.where(shown[..., None], picture, missing_pattern(*size))


def own_range(task: Task, values: NDArray[Any]) -> Range:
    """Ends of the colour map: the task's ``display_range``, else the extremes of the finite ``values``, else 0 to 1."""
    finite = values[np.isfinite(values)]
    return task.display_range or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))


def missing_pattern(height: int, width: int) -> NDArray[np.uint8]:
    """[H, W, 3] diagonal grey stripes: no ground truth here."""
    rows, columns = np.ogrid[:height, :width]
    stripe = max(2, max(height, width) // 50)
    greys = np.where((rows + columns) // stripe % 2, 226, 186).astype(np.uint8)
    return np.repeat(greys[..., None], 3, axis=2)
