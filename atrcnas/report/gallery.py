"""Samples as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import Registry
from atrcnas.plots.colourise import colourise, own_range
from atrcnas.plots.registry import known
from atrcnas.plots.samples import Maps, read_sample
from atrcnas.spec.tasks import TASKS, Task

MAX_SAMPLES, MAX_SIDE = 4, 256
_QUALITY = 85
_NOTES = {"palette": "one colour per class", "vector": "red, green, blue = (n + 1) / 2 of the unit vector n"}


class Picture(NamedTuple):
    """One picture.

    Attributes:
        title: what it shows.
        source: data URI.
    """

    title: str
    source: str


class Gallery(NamedTuple):
    """Some samples.

    Attributes:
        rows: for each sample its name, the input, and for each task its prediction and truth.
        notes: task -> how to read its colours.
    """

    rows: tuple[tuple[str, Picture, tuple[tuple[Picture, Picture], ...]], ...]
    notes: dict[str, str]


def read_gallery(samples_dir: Path, shared_by: int = 1, table: Registry[Task] = TASKS) -> Gallery | None:
    """Read the samples of a run; None if there are none.

    Args:
        samples_dir: folder of ``*.npz`` as the evaluation writes them; the first by name are shown.
        shared_by: runs on the page.
        table: of the tasks.

    Raises:
        RunError: a sample that is damaged or of an unknown task.
    """
    rows, notes = [], dict[str, str]()
    for path in sorted(samples_dir.glob("*.npz"))[: max(MAX_SAMPLES // shared_by, 1)]:
        image, maps = read_sample(path)
        pictures = []
        for name, found in maps.items():
            task = known(table, name, path)
            pictures.append(_both(task, found, path))
            notes[name] = _NOTES.get(task.display, task.description)
        rows.append((path.stem, Picture("input", _encoded(image)), tuple(pictures)))
    return Gallery(tuple(rows), notes) if rows else None


def _both(task: Task, maps: Maps, path: Path) -> tuple[Picture, Picture]:
    """Prediction and truth in one range of colours."""
    prediction, target, valid = maps
    flat = task.display == "palette"
    try:
        ends = own_range(task, target[valid] if valid.any() else prediction)
        drawn = colourise(task, prediction, None, ends), colourise(task, target, valid, ends)
    except (ValueError, IndexError, TypeError) as error:
        raise RunError(f"{path}: {error} Evaluate the run again.") from error
    guess, truth = (_encoded(picture, flat) for picture in drawn)
    return Picture(f"{task.name}, predicted", guess), Picture(f"{task.name}, truth", truth)


def _encoded(picture: NDArray[np.uint8], flat: bool = False) -> str:
    """A data URI; flat colours stay exact, everything else is a JPEG."""
    image, stream = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.NEAREST if flat else Image.Resampling.BILINEAR)
    if flat:
        image.quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=_QUALITY)
    form = "png" if flat else "jpeg"
    return f"data:image/{form};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
