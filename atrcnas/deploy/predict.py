"""Predictions for images, from a run or from an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atrcnas.data.rasters import read_image, read_size
from atrcnas.data.resizing import resize_image
from atrcnas.deploy.loading import load_exported
from atrcnas.deploy.metadata import task_records
from atrcnas.ground.errors import DataError, ExportError
from atrcnas.ground.files import write_atomically
from atrcnas.ground.paths import below
from atrcnas.ground.registry import resolve
from atrcnas.nn.blocks import resize
from atrcnas.objectives.decode import as_map
from atrcnas.plots.colourise import colourise
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.tasks import Task

Predictions = dict[str, NDArray[Any]]


class Predictor:
    """Image in, decoded predictions out.

    Args:
        tasks: records by name; ``decode`` says how a raw output becomes a prediction.
        run: [1, 3, h, w] float32 RGB in [0, 1], on the CPU, to task -> [1, channels, h, w] raw.
        size: (h, w) that ``run`` takes; None for any.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        run: Callable[[Tensor], Mapping[str, Tensor]],
        size: tuple[int, int] | None = None,
    ) -> None:
        self.tasks, self.run, self.size = dict(tasks), run, size

    @classmethod
    def from_run(cls, folder: Path, device: str = "cpu") -> Predictor:
        """The retrained network of a run folder; takes images of any size.

        Raises:
            RunError: no run folder, or not retrained yet.
            CheckpointError: the weights are damaged.
        """
        from atrcnas.engine.networks import load_network

        net = load_network(RunFolder(Path(folder))).to(device).eval()

        def run(image: Tensor) -> dict[str, Tensor]:
            with torch.inference_mode():
                predictions: dict[str, Tensor] = net(image.to(device)).predictions
            return predictions

        return cls(task_records(net), run)

    @classmethod
    def from_file(cls, path: Path) -> Predictor:
        """An ``.onnx`` or ``.pt2`` file; images of another size are resized to the file's, and predictions back to theirs.

        Raises:
            ExportError: see :func:`~atrcnas.deploy.loading.load_exported`.
        """
        exported = load_exported(Path(path))
        return cls(exported.metadata.tasks, exported.run, exported.metadata.size)

    def __call__(self, image: NDArray[np.uint8]) -> Predictions:
        """Predict all tasks for one image.

        Args:
            image: [H, W, 3] uint8 RGB.

        Returns:
            task -> [H, W] or [H, W, 3], of the image's own size: class indices int64, or float32 values.

        Raises:
            DataError: another shape or type.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(f"image: expected [H, W, 3] uint8 RGB, got {list(image.shape)} {image.dtype}.")
        own = image.shape[:2]
        fitted = image if self.size in (None, own) else resize_image(image, self.size or own)
        pixels = torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1)))[None].float() / 255
        raw = self.run(pixels)
        # Resized before decoding: class indices cannot be interpolated, and unit vectors would not stay unit.
        return {name: _decode(task, resize(raw[name].cpu().float(), own)) for name, task in self.tasks.items()}


def _decode(task: Task, raw: Tensor) -> NDArray[Any]:
    try:
        decoded = resolve(DECODERS[task.decode].function)(raw)
    except (IndexError, RuntimeError) as error:
        raise ExportError(
            f"task '{task.name}': expected an output that '{task.decode}' can decode, got {raw.shape[1]} channels. "
            "Correct the task's record."
        ) from error
    return np.ascontiguousarray(as_map(decoded))


def predict_images(predictor: Predictor, images: Sequence[Path], out: Path) -> list[Path]:
    """Write the predictions of each image ``NAME.*`` into a folder.

    Args:
        predictor: of a run or a file.
        images: JPEG, PNG, WebP, BMP or TIFF files.
        out: folder; made if missing.

    Returns:
        Paths of all files written: for each image ``NAME.npz`` (one array per task, decoded, see
        :meth:`Predictor.__call__`), then ``NAME.TASK.png`` (a picture for the eye) per task.

    Raises:
        DataError: an image cannot be read, or two images have one NAME; before anything is written, unless only the
            pixels of an image are damaged.
        AtrcnasError: a task's name cannot be part of a file name, or its predictions do not fit its record.
    """
    names = _names(images)
    for image in names.values():
        read_size(image)
    written: list[Path] = []
    for name, image in names.items():
        predictions = predictor(read_image(image))
        written.append(_write(below(out, f"{name}.npz"), partial(_save_arrays, predictions)))
        for task, array in predictions.items():
            picture = _picture(predictor.tasks[task], array)
            written.append(_write(below(out, f"{name}.{task}.png"), picture.save))
    return written


def _picture(task: Task, array: NDArray[Any]) -> Image.Image:
    try:
        return Image.fromarray(colourise(task, array))
    except ValueError as error:
        raise ExportError(f"{error} Correct the task's record.") from error


def _names(images: Sequence[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for image in images:
        if image.stem in names:
            raise DataError(
                f"{image}: would overwrite the predictions of {names[image.stem]}, both are named '{image.stem}'. "
                "Predict them into two folders, or rename one."
            )
        names[image.stem] = image
    return names


def _save_arrays(arrays: dict[str, Any], path: Path) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _write(path: Path, write: Callable[[Path], Any]) -> Path:
    write_atomically(path, write)
    return path
