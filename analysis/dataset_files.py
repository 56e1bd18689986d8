"""Writing samples of any source as files: the folder layout, and those of the published data sets.

Rooms written this way try the readers on real files, and are small stand-ins for data that cannot be passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import savemat

from atrcnas.data import nyud, pascal
from atrcnas.data.folder_files import IMAGE_FOLDER
from atrcnas.data.id_lists import Layout, is_id
from atrcnas.data.pascal_context import NORMALS_CLASSES, UNKNOWN
from atrcnas.data.pascal_parts import GROUPS, PERSON
from atrcnas.data.sample import Sample, Samples
from atrcnas.ground.errors import DataError
from atrcnas.ground.files import write_atomically, write_text
from atrcnas.spec.tasks import TASKS

# Of missing ground truth, and therefore the number of classes that fit a byte.
_MISSING = 255
_JPEG_QUALITY = 95
# One annotated part that stands for each of the six classes.
_PART_NAMES = tuple(parts[0] for parts in GROUPS["six"].values())
_SHARED_NUMBERS = np.array(sorted(NORMALS_CLASSES.values()))


def write_folder(source: Samples, root: Path, split: str) -> int:
    """Write ``root/split/{image,TASK,...}/NAME.*`` as :class:`atrcnas.data.folder.Folder` reads it by default.

    Classes become PNG with 255 for missing, real values .npy with 0 for missing; images stay exact.

    Returns:
        Number of samples written.

    Raises:
        DataError: a class above 254, or a name that is no file name.
    """
    home = root / split
    for sample in _all(source):
        _write_png(home / IMAGE_FOLDER / f"{sample.name}.png", sample.image)
        for task in sample.targets:
            if TASKS[task].target == "classes":
                _write_png(home / task / f"{sample.name}.png", _classes(sample, task, _MISSING))
            else:
                _write_npy(home / task / f"{sample.name}.npy", _numbers(sample, task))
    return len(source)


def write_nyud(source: Samples, root: Path, split: str, *, older: bool = False) -> int:
    """Write a split of ``root/NYUD_MT``; class k of semseg becomes k + 1, the images become JPEG.

    Args:
        source: tasks among semseg, depth, normals and edge.
        root: folder that gets the folder NYUD_MT.
        split: ``train`` or ``val``.
        older: write ``root/NYUDv2`` instead, where images, normals and edges are PNG.

    Returns:
        Number of samples written.

    Raises:
        DataError: a task or a value the layout has no place for.
    """
    writers: Mapping[str, _Writer] = {
        "semseg": lambda path, sample: _write_png(
            path, _classes(sample, "semseg", len(nyud.CLASSES), shift=1, missing=0)
        ),
        "depth": lambda path, sample: _write_npy(path, _numbers(sample, "depth")),
        "normals": lambda path, sample: (
            _write_normals(path, sample) if older else _write_npy(path, _numbers(sample, "normals"))
        ),
        "edge": lambda path, sample: (
            _write_png(path, _whole(sample, "edge", 2).astype(np.uint8) * np.uint8(255))
            if older
            else _write_npy(path, _classes(sample, "edge", 2))
        ),
    }
    return _write_listed(source, nyud.Nyud.layout, root, split, writers, int(older))


def write_pascal(source: Samples, root: Path, split: str) -> int:
    """Write a split of ``root/PASCAL_MT``; the images become JPEG and the normals 8-bit colours.

    The label map is made up from semseg: a class of its own for each, all of them known to NYUD, and ``unknown`` where
    there are no normals. What a reader gives for edge are the boundaries of this map, whatever edge the source has.

    Args:
        source: tasks among semseg, human_parts, sal, normals and edge.
        root: folder that gets the folder PASCAL_MT.
        split: ``train`` or ``val``.

    Returns:
        Number of samples written.

    Raises:
        DataError: a task or a value the layout has no place for; human_parts and sal cannot be missing in places.
    """
    writers: Mapping[str, _Writer] = {
        "semseg": lambda path, sample: _write_png(path, _classes(sample, "semseg", len(pascal.CLASSES))),
        "human_parts": _write_parts,
        "sal": lambda path, sample: _write_png(path, _whole(sample, "sal", 2).astype(np.uint8) * np.uint8(255)),
        "normals": _write_normals,
        "edge": _write_label_map,
    }
    return _write_listed(source, pascal.Pascal.layout, root, split, writers)


_Writer = Callable[[Path, Sample], None]


def _write_listed(
    source: Samples, layout: Layout, root: Path, split: str, writers: Mapping[str, _Writer], form: int = 0
) -> int:
    """``form`` is the number of the folder and of the alternative of each file that has several."""
    home = root / layout.folders[form]
    names = []
    for sample in _all(source):
        _write_image(home / layout.image[form].format(id=sample.name), sample.image)
        for task in sample.targets:
            if task not in writers:
                raise DataError(f"{sample.name}: the layout of '{layout.name}' has no '{task}'. Leave the task out.")
            patterns = layout.files[task][0]
            pattern = patterns[form] if form < len(patterns) else patterns[0]
            writers[task](home / pattern.format(id=sample.name), sample)
            # A second file, where a task has one, is the label map.
            for (pattern,) in layout.files[task][1:]:
                _write_label_map(home / pattern.format(id=sample.name), sample)
        names.append(sample.name)
    # Last, so that a split that is listed is complete.
    write_text(home / layout.lists / f"{split}.txt", "".join(f"{name}\n" for name in names))
    return len(names)


def _all(source: Samples) -> Iterator[Sample]:
    for index in range(len(source)):
        sample = source[index]
        if not is_id(sample.name):
            raise DataError(
                f"{sample.name!r:.60}: expected a name of letters, digits, '_', '-' and '.'. Rename the sample."
            )
        yield sample


def _write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    if path.suffix == ".png":
        _write_png(path, image)
    else:
        write_atomically(path, partial(Image.fromarray(image).save, format="JPEG", quality=_JPEG_QUALITY))


def _write_png(path: Path, array: npt.NDArray[np.uint8]) -> None:
    write_atomically(path, partial(Image.fromarray(array).save, format="PNG"))


def _write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    write_atomically(path, partial(np.save, arr=array))


def _write_mat(path: Path, **variables: Any) -> None:
    write_atomically(path, partial(savemat, mdict=variables, do_compression=True))


def _write_normals(path: Path, sample: Sample) -> None:
    """Normals [H, W, 3] in [-1, 1] as colours p = (v + 1) * 255 / 2; mid grey where there is no ground truth."""
    colours = np.rint((_numbers(sample, "normals") + 1.0) * 127.5)
    _write_png(path, np.clip(colours, 0, 255).astype(np.uint8))


def _write_label_map(path: Path, sample: Sample) -> None:
    """One of the classes shared with NYUD per class of semseg (the last of them without semseg)."""
    numbers = np.full(sample.image.shape[:2], _SHARED_NUMBERS[-1])
    if "semseg" in sample.targets:
        labelled = sample.valid["semseg"]
        numbers[labelled] = _SHARED_NUMBERS[sample.targets["semseg"][labelled]]
    if "normals" in sample.valid:
        numbers[~sample.valid["normals"]] = UNKNOWN
    _write_mat(path, LabelMap=numbers.astype(np.uint16))


def _write_parts(path: Path, sample: Sample) -> None:
    """One person with a mask per part that is in view; no object where there is none or all is missing."""
    parts = (
        _whole(sample, "human_parts", 1 + len(_PART_NAMES))
        if sample.valid["human_parts"].any()
        else np.zeros(sample.image.shape[:2])
    )
    shown = [number for number in range(1, len(_PART_NAMES) + 1) if (parts == number).any()]
    objects = np.empty((1, int(bool(shown))), [(field, object) for field in ("class", "class_ind", "mask", "parts")])
    if shown:
        masks = np.empty((1, len(shown)), [("part_name", object), ("mask", object)])
        for column, number in enumerate(shown):
            masks[0, column] = (_PART_NAMES[number - 1], (parts == number).astype(np.uint8))
        objects[0, 0] = ("person", PERSON, (parts > 0).astype(np.uint8), masks)
    _write_mat(path, anno={"imname": sample.name, "objects": objects})


def _classes(
    sample: Sample, task: str, num_classes: int, *, shift: int = 0, missing: int = _MISSING
) -> npt.NDArray[np.uint8]:
    """Class numbers plus ``shift`` as bytes, ``missing`` where there is no ground truth."""
    valid = sample.valid[task]
    _require_below(sample, task, num_classes)
    return np.where(valid, sample.targets[task] + shift, missing).astype(np.uint8)


def _require_below(sample: Sample, task: str, num_classes: int) -> None:
    highest = int(sample.targets[task].max(initial=0, where=sample.valid[task]))
    if highest >= num_classes:
        raise DataError(
            f"{sample.name}: {task}: expected classes below {num_classes}, which is all the layout holds, got {highest}."
        )


def _numbers(sample: Sample, task: str) -> npt.NDArray[np.float32]:
    """Real values, 0 where there is no ground truth."""
    values, valid = sample.targets[task], sample.valid[task]
    zeroed: npt.NDArray[np.float32] = np.where(valid[..., None] if values.ndim == 3 else valid, values, np.float32(0))
    return zeroed


def _whole(sample: Sample, task: str, num_classes: int) -> npt.NDArray[np.int64]:
    """Classes of a task whose files cannot mark missing pixels."""
    _require_below(sample, task, num_classes)
    if not sample.valid[task].all():
        raise DataError(f"{sample.name}: {task}: the layout has no value for missing pixels, got some. Leave it out.")
    return sample.targets[task]
