"""Reading the pictures that evaluation kept: image, and per task prediction, target and valid mask."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.ground.opening import open_regular

_MAX_BYTES = 400_000_000  # unpacked
_PARTS = ("prediction", "target", "valid")
Maps = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]


def read_sample(path: Path) -> tuple[NDArray[np.uint8], dict[str, Maps]]:
    """Read one sample; nothing in the file is executed.

    Returns:
        The image, [H, W, 3], and by task its prediction, target and valid mask, of the same height and width.

    Raises:
        RunError: unreadable, or an array is missing or of another size than the image.
    """
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            arrays = {info.filename.removesuffix(".npy"): array for info, array in _arrays(archive)}
    except Exception as error:  # on damaged bytes these readers raise anything
        _refuse(path, "expected an .npz of plain arrays", f"something else ({error!s:.200})")
    got = {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays.items()}
    image = arrays.get("image", np.empty(0))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        _refuse(path, "image: expected uint8 [H, W, 3]", got.get("image", "nothing"))
    names = [name.partition(".") for name in arrays]
    tasks = dict.fromkeys(task for part, _, task in names if part in _PARTS)
    if not tasks:
        _refuse(path, "expected 'prediction.TASK' arrays", ", ".join(arrays))
    for name in (f"{part}.{task}" for task in tasks for part in _PARTS):
        if name not in arrays or arrays[name].shape[:2] != image.shape[:2]:
            pixels = "x".join(map(str, image.shape[:2]))
            _refuse(path, f"{name}: expected an array of {pixels} pixels", got.get(name, "nothing"))
    maps = {task: [arrays[f"{part}.{task}"] for part in _PARTS] for task in tasks}
    return image, {task: (prediction, target, valid.astype(bool)) for task, (prediction, target, valid) in maps.items()}


def _arrays(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, NDArray[Any]]]:
    infos = archive.infolist()
    if sum(info.file_size for info in infos) > _MAX_BYTES:
        raise ValueError(f"it unpacks to more than {_MAX_BYTES} bytes")
    for info in infos:
        with archive.open(info) as stream:
            yield info, np.lib.format.read_array(stream, allow_pickle=False)


def _refuse(path: Path, expected: str, got: str) -> NoReturn:
    raise RunError(f"{path}: {expected}, got {got}. Evaluate the run again.")
