"""Human parts of PASCAL-Part annotations: which of the 24 annotated parts make up a class, and painting them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.matlab import read_variable
from atrcnas.ground.errors import DataError

PERSON = 15
_BASE: Mapping[str, tuple[str, ...]] = {
    "head": ("head", "hair", "lear", "rear", "lebrow", "rebrow", "leye", "reye", "mouth", "nose"),
    "torso": ("torso", "neck"),
    "upper_arm": ("luarm", "ruarm"),
    "lower_arm": ("llarm", "rlarm", "lhand", "rhand"),
    "upper_leg": ("luleg", "ruleg"),
    "lower_leg": ("llleg", "rlleg", "lfoot", "rfoot"),
}
# Grouping -> class name -> annotated parts. Finer groups tell left from right, which a horizontal flip would confuse,
# so there are none.
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "six": _BASE,
    "none": {"person": tuple(part for parts in _BASE.values() for part in parts)},
}


def read_parts(
    path: Path, shape: tuple[int, int], grouping: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Paint the parts of all persons of an annotation, later ones over earlier ones.

    An image that shows no part of a person has no ground truth at all, rather than being all background: most such
    images were never annotated. The published training and evaluation do the same.

    Args:
        path: .mat with the struct ``anno``: ``objects``, each with ``class_ind``, ``mask`` and ``parts``, each of those
            with ``part_name`` and ``mask``. Only objects of class 15, person, are read.
        shape: (height, width) of the image.
        grouping: a key of ``GROUPS``.

    Returns:
        [H, W] int64, the number of the part in its group from 1, 0 is background; [H, W] bool, all True or all False.

    Raises:
        DataError: damaged, of another structure, an unknown part, or a mask of another size.
    """
    numbers = {part: number for number, parts in enumerate(GROUPS[grouping].values(), start=1) for part in parts}
    anno = read_variable(path, "anno")
    try:
        masks = [found for item in anno[0, 0]["objects"].ravel() for found in _parts_of_person(item)]
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: expected anno.objects with class_ind, mask and parts, got another structure "
            f"({type(error).__name__}: {error!s:.200}). Replace the file with the published one."
        ) from error
    classes = np.zeros(shape, np.int64)
    for name, mask in masks:
        if name not in numbers:
            raise DataError(f"{path}: unknown part {name!r:.40} of a person. Known: {', '.join(sorted(numbers))}.")
        if mask.shape != shape:
            raise DataError(
                f"{path}: expected masks of the image's size, {shape[0]} x {shape[1]}, got {list(mask.shape)} "
                f"for part {name}. Replace the file with the published one."
            )
        classes[mask] = numbers[name]
    return classes, np.full(shape, bool(classes.any()))


def _parts_of_person(item: Any) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Names and masks of the parts of one annotated object; none unless it is a person."""
    if int(item["class_ind"].item()) != PERSON:
        return []
    return [(str(part["part_name"].item()), part["mask"].astype(np.bool_)) for part in item["parts"].ravel()]
