"""Predictions for many images and videos, as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from atrcnas.data.rasters import read_image
from atrcnas.deploy.inputs import find_inputs
from atrcnas.deploy.pictures import picture
from atrcnas.deploy.predictor import Predictor
from atrcnas.deploy.progress import shown
from atrcnas.deploy.video import predict_video, require_reader
from atrcnas.ground.files import write_atomically
from atrcnas.ground.paths import below
from atrcnas.plots.canvas import save
from atrcnas.plots.legend import draw_legend


def predict_images(predictor: Predictor, sources: Sequence[Path], out: Path) -> list[Path]:
    """Write the predictions of each image ``NAME.*`` into a folder, with a bar where standard error is a terminal.

    Args:
        predictor: of a run, a saved model or a file.
        sources: images, folders of images, videos, cameras, see :func:`~atrcnas.deploy.inputs.find_inputs`.
        out: folder; made if missing.

    Returns:
        Paths of all files written: for each image ``NAME.npz`` (one array per task, decoded, see
        :meth:`Predictor.__call__`), then ``NAME.TASK.png`` per task (a picture for the eye; of class numbers, its pixels
        are the numbers and its palette the colours); for each video ``NAME.TASK.mp4`` per task; and ``legend.png``
        with the names of the classes, if a task has any.

    Raises:
        DataError: an input cannot be read, or two have one NAME; before anything is written, unless only the pixels of an
            image are damaged.
        ExportError: a video, without the package that reads it.
        AtrcnasError: a task's name cannot be part of a file name, or its predictions do not fit its record.
    """
    inputs = find_inputs(sources)
    if inputs.videos:
        require_reader()
    written: list[Path] = []
    for name, image in shown(inputs.images.items(), "predicting", len(inputs.images)):
        predictions = predictor(read_image(image))
        written.append(_write(below(out, f"{name}.npz"), partial(_save_arrays, predictions)))
        for task, array in predictions.items():
            drawn = picture(predictor.tasks[task], array)
            written.append(_write(below(out, f"{name}.{task}.png"), drawn.save))
    for name, video in inputs.videos.items():
        written += predict_video(predictor, video, out, name)
    legend = draw_legend(predictor.tasks.values())
    if legend is not None:
        written.append(save(legend, below(out, "legend.png")))
    return written


def _save_arrays(arrays: dict[str, Any], path: Path) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _write(path: Path, write: Callable[[Path], Any]) -> Path:
    write_atomically(path, write)
    return path
