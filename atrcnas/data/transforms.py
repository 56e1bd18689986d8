"""Training augmentation and padding of samples; one index map moves every kind of label, so that they stay aligned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.photometric import distort_colours
from atrcnas.data.resizing import INTERPOLATIONS, take_pixels
from atrcnas.data.sample import Sample
from atrcnas.spec.data import AugmentSpec
from atrcnas.spec.tasks import Task

# The mean of ImageNet's colours, so that padding is 0 (to 1/100) once the network's input is normalised.
PAD_COLOUR = (124, 116, 104)
MAX_CROP_REDRAWS = 10


@dataclass(frozen=True)
class Augmented:
    """A sample on a canvas of a given size.

    Attributes:
        sample: as the data set's, of the canvas' size; nothing is valid on padding.
        image_valid: [H, W] bool, False on padding.
        corner: (top, left) of the image on the canvas.
        size: (height, width) of the image without padding.
    """

    sample: Sample
    image_valid: npt.NDArray[np.bool_]
    corner: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class _Window:
    """A rectangle of the enlarged image, ``full``, and the source pixel of each of its rows and columns."""

    full: tuple[int, int]
    corner: tuple[int, int]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]


def augment(sample: Sample, options: AugmentSpec, tasks: Mapping[str, Task], rng: np.random.Generator) -> Augmented:
    """Draw one augmented version of a sample.

    Random enlargement, random crop (redrawn up to ten times while one class dominates it), horizontal flip, random
    colours; a crop larger than the enlarged image is padded.

    Args:
        sample: not changed.
        options: ranges and probabilities.
        tasks: record of every task of the sample; the first with more than 2 classes decides about crops.
        rng: source of all draws; the same state gives the same result.

    Returns:
        Arrays of the crop's size that share no memory with ``sample``.
    """
    size = options.crop_size or (sample.image.shape[0], sample.image.shape[1])
    factor = float(rng.uniform(*options.scale))
    window = _choose_window(sample, size, factor, options, tasks, rng)
    flipped = bool(rng.random() < options.flip)
    columns = window.columns[::-1] if flipped else window.columns
    shape = len(window.rows), len(columns)
    image = INTERPOLATIONS[options.interpolation].image(sample.image, window.full, window.corner, shape)
    image = image[:, ::-1] if flipped else image
    if options.photometric:
        image = distort_colours(image, rng)
    targets, valid = {}, {}
    for name, values in sample.targets.items():
        moved = take_pixels(values, window.rows, columns)
        targets[name] = _adapt_values(moved, tasks[name], factor, flipped)
        valid[name] = take_pixels(sample.valid[name], window.rows, columns)
        if name in options.require_foreground and not (targets[name] * valid[name]).any():
            valid[name][:] = False
    changed = Sample(sample.name, image, targets, valid)
    if options.pad == "centred":
        return place_centred(changed, size)
    # Padding is right of and below the image; a flip brings it to the left.
    return _place(changed, size, (0, size[1] - shape[1] if flipped else 0))


def place_centred(sample: Sample, size: tuple[int, int]) -> Augmented:
    """Put a sample in the middle of a canvas; an odd pixel of padding comes after it.

    Args:
        sample: of any size.
        size: smallest (height, width) of the canvas.
    """
    shape = sample.image.shape
    canvas = max(size[0], shape[0]), max(size[1], shape[1])
    return _place(sample, canvas, ((canvas[0] - shape[0]) // 2, (canvas[1] - shape[1]) // 2))


def _choose_window(
    sample: Sample,
    size: tuple[int, int],
    factor: float,
    options: AugmentSpec,
    tasks: Mapping[str, Task],
    rng: np.random.Generator,
) -> _Window:
    """Draw a crop of at most ``size`` from the sample enlarged by ``factor``, again while one class dominates it."""
    height, width = sample.image.shape[:2]
    method = INTERPOLATIONS[options.interpolation]
    full = (max(1, method.whole(height * factor)), max(1, method.whole(width * factor)))
    inner = (min(size[0], full[0]), min(size[1], full[1]))
    all_rows, all_columns = method.indices(height, full[0]), method.indices(width, full[1])
    judge = next((name for name in tasks if name in sample.targets and _has_many_classes(tasks[name])), None)
    # Where the crop is the whole image, a second draw would be the same.
    num_draws = 1 + MAX_CROP_REDRAWS if judge is not None and inner != full else 1
    for _ in range(num_draws):
        top = int(rng.integers(0, full[0] - inner[0] + 1))
        left = int(rng.integers(0, full[1] - inner[1] + 1))
        rows, columns = all_rows[top : top + inner[0]], all_columns[left : left + inner[1]]
        if judge is None or not _is_dominated(sample, judge, rows, columns, options.crop_max_share):
            break
    return _Window(full, (top, left), rows, columns)


def _has_many_classes(task: Task) -> bool:
    return task.target == "classes" and (task.label_channels is None or task.label_channels > 2)


def _is_dominated(
    sample: Sample, judge: str, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], max_share: float
) -> bool:
    """True if one class has more than ``max_share`` of the labelled pixels, or there are none."""
    labels = take_pixels(sample.targets[judge], rows, columns)
    counts = np.bincount(labels[take_pixels(sample.valid[judge], rows, columns)])
    return counts.size == 0 or bool(counts.max() > max_share * counts.sum())


def _adapt_values(values: npt.NDArray[Any], task: Task, factor: float, flipped: bool) -> npt.NDArray[Any]:
    """What moving the pixels does to the values in them, in place."""
    if task.zoom == "divide":
        values /= np.float32(factor)
    if flipped and task.flip == "negate_x":
        np.negative(values[..., 0], out=values[..., 0])
    return values


def _place(sample: Sample, size: tuple[int, int], corner: tuple[int, int]) -> Augmented:
    """Put a sample on a canvas of ``size``, its upper left pixel at ``corner``."""
    height, width = sample.image.shape[:2]
    inside = slice(corner[0], corner[0] + height), slice(corner[1], corner[1] + width)
    image_valid = np.zeros(size, dtype=bool)
    image_valid[inside] = True

    def placed(content: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        if content.shape[:2] == size:
            return np.ascontiguousarray(content)
        canvas = np.full((*size, *content.shape[2:]), fill, dtype=content.dtype)
        canvas[inside] = content
        return canvas

    padded = replace(
        sample,
        image=placed(sample.image, PAD_COLOUR),
        targets={name: placed(values, 0) for name, values in sample.targets.items()},
        valid={name: placed(mask, False) for name, mask in sample.valid.items()},
    )
    return Augmented(padded, image_valid, corner, (height, width))
