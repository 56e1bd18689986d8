"""Resizing images smoothly and ground truth by nearest neighbour; the two conventions of `augment.interpolation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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


def floor_indices(source: int, target: int) -> npt.NDArray[np.int64]:
    """The source pixel at or before the scaled number of each target pixel.

    Args:
        source: pixels along one side before resizing, >= 1.
        target: pixels after, >= 1.

    Returns:
        [target] int64 in [0, source), non-decreasing.

    Source: cv2.resize with INTER_NEAREST, in its own double arithmetic.
    """
    numbers = np.floor(np.arange(target) * (1.0 / (target / source))).astype(np.int64)
    last: npt.NDArray[np.int64] = np.minimum(numbers, source - 1)
    return last


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


def _resize_area(
    image: npt.NDArray[np.uint8], full: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """:func:`resize_image` with the arguments of :func:`resize_linear`."""
    ends = [
        (first * side / whole, min((first + length) * (side / whole), float(side)))
        for side, whole, first, length in zip(image.shape[:2], full, corner, size, strict=True)
    ]
    (top, bottom), (left, right) = ends
    return resize_image(image, size, (left, top, right, bottom))


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


def resize_linear(
    image: npt.NDArray[np.uint8], full: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Part of an image enlarged linearly between neighbouring pixels, without antialiasing, rounded down.

    Args:
        image: [H, W, 3] uint8.
        full: (height, width) of the whole enlarged image.
        corner: (top, left) of the part, in pixels of the enlarged image.
        size: (height, width) of the part.

    Returns:
        [height, width, 3] uint8.

    Source: cv2.resize with INTER_LINEAR on float32 images, converted to uint8 by truncation afterwards.
    """
    part: npt.NDArray[Any] = image
    for axis in (1, 0):
        last = image.shape[axis] - 1
        centres = (np.arange(corner[axis], corner[axis] + size[axis]) + 0.5) * (image.shape[axis] / full[axis]) - 0.5
        centres = centres.clip(0, last)
        low = centres.astype(np.int64)
        share = np.expand_dims((centres - low).astype(np.float32), (1 - axis, 2))
        before = part.take(low, axis).astype(np.float32)
        part = before + share * (part.take(np.minimum(low + 1, last), axis) - before)
    # A thousandth keeps whole numbers whole, whatever the last bit of the arithmetic is.
    return (part + np.float32(1e-3)).astype(np.uint8)


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


@dataclass(frozen=True)
class Interpolation:
    """One convention of enlarging a sample by a factor.

    Attributes:
        whole: enlarged length of a side -> whole pixels.
        indices: (side before, side after) -> the source pixel of each target pixel, for ground truth.
        image: (image, full size, corner, size) -> that part of the enlarged image.
    """

    whole: Callable[[float], int]
    indices: Callable[[int, int], npt.NDArray[np.int64]]
    image: Callable[[npt.NDArray[np.uint8], tuple[int, int], tuple[int, int], tuple[int, int]], npt.NDArray[np.uint8]]


INTERPOLATIONS: Mapping[str, Interpolation] = {
    "antialiased": Interpolation(round, nearest_indices, _resize_area),
    "opencv": Interpolation(int, floor_indices, resize_linear),
}
