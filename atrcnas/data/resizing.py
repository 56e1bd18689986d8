"""Resizing images smoothly and ground truth by nearest neighbour, both on the same pixel grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from atrcnas.data.sample import Sample


def nearest_indices(source: int, target: int) -> npt.NDArray[np.int64]:
    """The source pixel under the centre of each target pixel.

    Args:
        source: pixels along one side before resizing, >= 1.
        target: pixels after, >= 1.

    Returns:
        [target] int64 in [0, source), non-decreasing.
    """
    # In whole numbers, so that no rounding of floats moves a label.
    return (2 * np.arange(target) + 1) * source // (2 * target)


def take_pixels(
    array: npt.NDArray[Any], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """Copy the pixels at every pair of ``rows`` and ``columns``.

    Args:
        array: [H, W] or [H, W, C].
        rows: [h] int64 in [0, H).
        columns: [w] int64 in [0, W).

    Returns:
        [h, w] or [h, w, C] of the same dtype, freshly allocated.
    """
    return array.take(rows, axis=0).take(columns, axis=1)


def resize_image(
    image: npt.NDArray[np.uint8],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> npt.NDArray[np.uint8]:
    """Resize bilinearly (area-weighted when shrinking), pixel centres at half-integers.

    Args:
        image: [H, W, 3] uint8.
        size: (height, width) of the result.
        box: (left, top, right, bottom) of the part to take, in source pixels; None for all.

    Returns:
        [height, width, 3] uint8.
    """
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return np.array(resized)


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize a sample to ``size`` = (height, width).

    Every target pixel keeps the value of one source pixel, so that all label types stay aligned, classes stay
    classes, missing values do not bleed and vectors stay of unit length. Depth keeps its values: this is a matter of
    storage, not a camera that moves.
    """
    height, width = sample.image.shape[:2]
    if (height, width) == size:
        return sample
    rows, columns = nearest_indices(height, size[0]), nearest_indices(width, size[1])
    return replace(
        sample,
        image=resize_image(sample.image, size),
        targets={task: take_pixels(values, rows, columns) for task, values in sample.targets.items()},
        valid={task: take_pixels(mask, rows, columns) for task, mask in sample.valid.items()},
    )
