"""Prediction and truth maps as RGB pictures, by what the task table says of their display."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from atrcnas.plots.palette import MAX_CLASSES, palette
from atrcnas.spec.tasks import Task

Range = tuple[float, float]
_STRIPES = np.array([[186, 186, 186], [226, 226, 226]], dtype=np.uint8)


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
    array = np.asarray(array)
    if array.shape[2:] != ((3,) if task.display == "vector" else ()) or array.ndim < 2:
        shape = "[H, W, 3]" if task.display == "vector" else "[H, W]"
        raise ValueError(f"task '{task.name}': expected an array {shape}, got {list(array.shape)}.")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"task '{task.name}': expected numbers, got an array of {array.dtype}.")
    shown = np.ones(array.shape[:2], bool) if valid is None else np.asarray(valid, dtype=bool)
    if shown.shape != array.shape[:2]:
        raise ValueError(f"task '{task.name}': expected valid {list(array.shape[:2])}, got {list(shown.shape)}.")
    finite = np.isfinite(array)
    shown = shown & (finite.all(axis=2) if array.ndim == 3 else finite)
    values = np.where(shown[..., None] if array.ndim == 3 else shown, array, 0)
    if task.display == "palette":
        picture = _classes(task, values)
    elif task.display == "vector":
        picture = np.round((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    else:
        low, high = value_range or own_range(task, array[shown])
        shares = np.clip((values.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
        picture = np.round(colormaps[task.display](shares)[..., :3] * 255).astype(np.uint8)
    return np.where(shown[..., None], picture, missing_pattern(*array.shape[:2]))


def own_range(task: Task, values: NDArray[Any]) -> Range:
    """Ends of the colour map: the task's ``display_range``, else the extremes of the finite ``values``, else 0 to 1."""
    finite = values[np.isfinite(values)]
    return task.display_range or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))


def missing_pattern(height: int, width: int) -> NDArray[np.uint8]:
    """[H, W, 3] diagonal grey stripes: no ground truth here."""
    rows, columns = np.ogrid[:height, :width]
    stripe = max(2, max(height, width) // 50)
    pattern: NDArray[np.uint8] = _STRIPES[(rows + columns) // stripe % 2]
    return pattern


def _classes(task: Task, values: NDArray[Any]) -> NDArray[np.uint8]:
    indices = np.round(values).astype(np.int64)
    if indices.size and (indices.min() < 0 or indices.max() >= MAX_CLASSES):
        got = f"{indices.min()} to {indices.max()}"
        raise ValueError(f"task '{task.name}': expected class indices 0 to {MAX_CLASSES - 1} where valid, got {got}.")
    picture: NDArray[np.uint8] = palette(MAX_CLASSES)[indices]
    return picture
