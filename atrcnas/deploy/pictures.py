"""Predictions as pictures: class numbers that look like their colours, and everything else by the task's display."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atrcnas.ground.errors import ExportError
from atrcnas.plots.colourise import Range, colourise
from atrcnas.plots.palette import class_palette
from atrcnas.spec.tasks import Task


def picture(task: Task, array: NDArray[Any], value_range: Range | None = None) -> Image.Image:
    """One prediction for the eye.

    Args:
        task: says how.
        array: as :func:`~atrcnas.plots.colourise.colourise` takes it.
        value_range: as there.

    Returns:
        Of class numbers, an indexed image: its pixels are the numbers, its palette the colours of the classes. Of
        anything else, RGB.

    Raises:
        ExportError: the prediction does not fit the task's record.
    """
    try:
        drawn = colourise(task, array, None, value_range)
    except ValueError as error:
        raise ExportError(f"{error} Correct the task's record.") from error
    if task.display != "palette" or array.dtype.kind not in "iu":
        return Image.fromarray(drawn)
    indexed = Image.fromarray(array.astype(np.uint8))
    indexed.putpalette(class_palette(task).tobytes())  # makes the mode "P"
    return indexed
