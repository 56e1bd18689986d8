"""Reading the pictures that evaluation kept: image, and per task prediction, target and valid mask."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.ground.opening import open_regular
from atrcnas.plots.colourise import Range, colourise, own_range
from atrcnas.plots.registry import known
from atrcnas.spec.tasks import TASKS

_MAX_BYTES = 10**9
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
        record = known(TASKS, task, self.path)
        prediction, target, valid = (self.arrays[f"{part}.{task}"] for part in _PARTS)
        try:
            truth_values = target[valid.astype(bool)]
            shared = own_range(record, truth_values if truth_values.size else prediction)
            return colourise(record, prediction, None, shared), colourise(record, target, valid, shared), shared
        except (ValueError, IndexError, TypeError) as error:
            raise RunError(f"{self.path}: {error} Evaluate the run again.") from error


def sample_files(samples_dir: Path, max_samples: int) -> list[Path]:
    """The first samples by name.

    Raises:
        RunError: no folder, or no sample in it.
    """
    if not (files := sorted(samples_dir.glob("*.npz"))):
        raise RunError(f"{samples_dir}: expected *.npz samples, got none. Evaluate the run first.")
    return files[:max_samples]


def read_sample(path: Path) -> Sample:
    """Read one sample; nothing in the file is executed.

    Raises:
        RunError: unreadable, or an array is missing or of another size than the image.
    """
    try:
        with open_regular(path, _MAX_BYTES) as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        _refuse(path, "expected an .npz of plain arrays", f"something else ({error})")
    got = {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays.items()}
    image = arrays.get("image", np.empty(0))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        _refuse(path, "image: expected uint8 [H, W, 3]", got.get("image", "nothing"))
    names = [name.partition(".") for name in arrays]
    tasks = tuple(dict.fromkeys(task for part, _, task in names if part in _PARTS))
    if not tasks:
        _refuse(path, "expected 'prediction.TASK' arrays", ", ".join(arrays))
    height, width = image.shape[:2]
    for name in (f"{part}.{task}" for task in tasks for part in _PARTS):
        if name not in arrays or arrays[name].shape[:2] != (height, width):
            _refuse(path, f"{name}: expected an array of {height}x{width} pixels", got.get(name, "nothing"))
    return Sample(path, image, tasks, arrays)


def _refuse(path: Path, expected: str, got: str) -> NoReturn:
    raise RunError(f"{path}: {expected}, got {got}. Evaluate the run again.")
