"""Reading the pictures that evaluation kept: image, and per task prediction, target and valid mask."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.colourise import Range, colourise, own_range
from atrcnas.spec.tasks import TASKS, Task

_PARTS = ("prediction", "target", "valid")


@dataclass(frozen=True)
class Sample:
    """One evaluated picture.

    Attributes:
        path: the file, for messages and as the name of the picture.
        image: [H, W, 3] uint8.
        tasks: task names in the order of the file.
        arrays: ``prediction.TASK``, ``target.TASK``, ``valid.TASK`` as the file holds them.
    """

    path: Path
    image: NDArray[np.uint8]
    tasks: tuple[str, ...]
    arrays: dict[str, NDArray[Any]]

    def pictures(self, task: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Range]:
        """Prediction and truth of ``task`` as RGB with one colour range for both, and that range.

        Raises:
            RunError: an unknown task, or arrays that do not fit it.
        """
        record = self._record(task)
        prediction, target, valid = (self.arrays[f"{part}.{task}"] for part in _PARTS)
        try:
            truth_values = target[valid.astype(bool)]
            shared = own_range(record, [truth_values] if truth_values.size else [prediction])
            return colourise(record, prediction, None, shared), colourise(record, target, valid, shared), shared
        except (ValueError, IndexError, TypeError) as error:
            raise RunError(f"{self.path}: {error} Evaluate the run again.") from error

    def _record(self, task: str) -> Task:
        try:
            return TASKS[task]
        except ConfigError as error:
            raise RunError(f"{self.path}: {error} If a plugin defines it, load the plugin first.") from error


def sample_files(samples_dir: Path, max_samples: int) -> list[Path]:
    """The first samples by name.

    Raises:
        RunError: no folder, or no sample in it.
    """
    if not samples_dir.is_dir():
        raise RunError(f"{samples_dir}: expected a folder of samples, got none. Evaluate the run first.")
    files = sorted(samples_dir.glob("*.npz"))[:max_samples]
    if not files:
        raise RunError(f"{samples_dir}: expected *.npz samples, got none. Evaluate the run first.")
    return files


def read_sample(path: Path) -> Sample:
    """Read one sample; nothing in the file is executed.

    Raises:
        RunError: unreadable, or an array is missing or of another size than the image.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        got = f"something else ({error})"
        raise RunError(f"{path}: expected an .npz of plain arrays, got {got}. Evaluate the run again.") from error
    image = arrays.get("image")
    if image is None or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        got = "nothing" if image is None else f"{image.dtype} {list(image.shape)}"
        raise RunError(f"{path}: image: expected uint8 [H, W, 3], got {got}. Evaluate the run again.")
    tasks = tuple(dict.fromkeys(name.partition(".")[2] for name in arrays if name.partition(".")[0] in _PARTS))
    if not tasks:
        raise RunError(f"{path}: expected 'prediction.TASK' arrays, got {', '.join(arrays)}. Evaluate the run again.")
    for name in (f"{part}.{task}" for task in tasks for part in _PARTS):
        if name not in arrays or arrays[name].shape[:2] != image.shape[:2]:
            got = f"shape {list(arrays[name].shape)}" if name in arrays else "nothing"
            size = f"{image.shape[0]}x{image.shape[1]}"
            raise RunError(f"{path}: {name}: expected an array of {size} pixels, got {got}. Evaluate the run again.")
    return Sample(path, image, tasks, arrays)
