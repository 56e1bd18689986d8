"""Training augmentation and padding of samples; one index map moves every kind of label, so that they stay aligned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.photometric import distort_colours
from atrcnas.data.resizing import nearest_indices, resize_image, take_pixels
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
    """

    sample: Sample
    image_valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Window:
    """A rectangle of the enlarged image, and the source pixel behind each of its rows and columns."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    box: tuple[float, float, float, float]


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
    window = _choose_window(sample, size, factor, options.crop_max_share, tasks, rng)
    flipped = bool(rng.random() < options.flip)
    columns = window.columns[::-1] if flipped else window.columns
    image = resize_image(sample.image, (len(window.rows), len(columns)), window.box)
    image = image[:, ::-1] if flipped else image
    if options.photometric:
        image = distort_colours(image, rng)
    targets, valid = {}, {}
    for name, values in sample.targets.items():
        moved = take_pixels(values, window.rows, columns)
        targets[name] = _adapt_values(moved, tasks[name], factor, flipped)
        valid[name] = take_pixels(sample.valid[name], window.rows, columns)
    # Padding is right of and below the image; a flip brings it to the left.
    left = size[1] - len(columns) if flipped else 0
    return _place(Sample(sample.name, image, targets, valid), size, left)


def _choose_window(
    sample: Sample,
    size: tuple[int, int],
    factor: float,
    max_share: float,
    tasks: Mapping[str, Task],
    rng: np.random.Generator,
) -> _Window:
    """Draw a crop of at most ``size`` from the sample enlarged by ``factor``, again while one class dominates it."""
    height, width = sample.image.shape[:2]
    full = (max(1, round(height * factor)), max(1, round(width * factor)))
    inner = (min(size[0], full[0]), min(size[1], full[1]))
    all_rows, all_columns = nearest_indices(height, full[0]), nearest_indices(width, full[1])
    judge = next((name for name in tasks if name in sample.targets and _has_many_classes(tasks[name])), None)
    # Where the crop is the whole image, a second draw would be the same.
    num_draws = 1 + MAX_CROP_REDRAWS if judge is not None and inner != full else 1
    for _ in range(num_draws):
        top = int(rng.integers(0, full[0] - inner[0] + 1))
        left = int(rng.integers(0, full[1] - inner[1] + 1))
        rows, columns = all_rows[top : top + inner[0]], all_columns[left : left + inner[1]]
        if judge is None or not _is_dominated(sample, judge, rows, columns, max_share):
            break
    step_y, step_x = height / full[0], width / full[1]
    box = (
        left * step_x,
        top * step_y,
        min((left + inner[1]) * step_x, float(width)),
        min((top + inner[0]) * step_y, float(height)),
    )
    return _Window(rows, columns, box)


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


def _place(sample: Sample, size: tuple[int, int], left: int) -> Augmented:
    """Put a sample on a canvas of ``size``, at the top and ``left`` pixels from its side."""
    height, width = sample.image.shape[:2]
    image_valid = np.zeros(size, dtype=bool)
    image_valid[:height, left : left + width] = True

    def placed(content: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        if content.shape[:2] == size:
            return np.ascontiguousarray(content)
        canvas = np.full((*size, *content.shape[2:]), fill, dtype=content.dtype)
        canvas[:height, left : left + width] = content
        return canvas

    padded = replace(
        sample,
        image=placed(sample.image, PAD_COLOUR),
        targets={name: placed(values, 0) for name, values in sample.targets.items()},
        valid={name: placed(mask, False) for name, mask in sample.valid.items()},
    )
    return Augmented(padded, image_valid)
