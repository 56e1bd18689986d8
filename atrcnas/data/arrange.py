"""Bringing images and label maps into the layout that data set `folder` reads, by links: no file is copied or moved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from atrcnas.data.folder_files import IMAGE_FOLDER
from atrcnas.data.layout import Layout
from atrcnas.data.rasters import IMAGE_SUFFIXES, TARGET_SUFFIXES
from atrcnas.ground.errors import DataError

VAL_EVERY = 5  # image of an undivided set goes to the validation split
_LEAST = 3


def arrange(layout: Layout, out: Path) -> dict[str, int]:
    """Link every image that has a label map of each task into ``out/{split}/{image,TASK}/NAME.*``.

    A label map belongs to the image of its name, or whose name it continues (``0001.jpg``, ``0001_mask.png``). Without a
    validation split, every fifth image in the order of names is taken out of the training split.

    Args:
        layout: where the files are.
        out: folder to make.

    Returns:
        split -> number of images.

    Raises:
        DataError: ``out`` is there already, or there are too few complete images.
    """
    if out.exists():
        raise DataError(f"{out}: expected no such folder yet, got one. Remove it, or choose another --out.")
    samples = {split: _samples(parts, layout.tasks) for split, parts in layout.folders.items()}
    if "val" not in samples:
        samples = _divided(layout.root, samples)
    for split, files in samples.items():
        for name, roles in files.items():
            for role, path in roles.items():
                link = out / split / role / f"{name}{path.suffix.lower()}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.absolute())
    return {split: len(files) for split, files in samples.items()}


def _samples(parts: Mapping[str, Path], tasks: Iterable[str]) -> dict[str, dict[str, Path]]:
    """Name -> role -> file, of the images that have all label maps."""
    images = {path.stem: path for path in _files(parts[IMAGE_FOLDER], IMAGE_SUFFIXES)}
    labels = {task: _by_image(_files(parts[task], TARGET_SUFFIXES), images) for task in tasks}
    return {
        name: {IMAGE_FOLDER: path, **{task: found[name] for task, found in labels.items()}}
        for name, path in images.items()
        if all(name in found for found in labels.values())
    }


def _by_image(files: Iterable[Path], images: Mapping[str, Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        # The longest beginning that an image has, cut where a word ends.
        cuts = [len(path.stem), *(match.start() for match in reversed([*re.finditer(r"[^a-zA-Z0-9]", path.stem)]))]
        name = next((path.stem[:cut] for cut in cuts if path.stem[:cut] in images), None)
        if name is not None and (name not in found or path.stem == name):
            found[name] = path
    return found


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in suffixes)


def _divided(root: Path, samples: Mapping[str, dict[str, dict[str, Path]]]) -> dict[str, dict[str, dict[str, Path]]]:
    whole = samples.get("train") or samples.get("") or {}
    if len(whole) < _LEAST:
        raise DataError(
            f"{root}: expected at least {_LEAST} images with a label map of every task, got {len(whole)}. "
            "Label maps belong to images by their names; rename them, or add some."
        )
    val = {name for number, name in enumerate(whole, 1) if number % VAL_EVERY == 0} or {list(whole)[-1]}
    rest = {split: files for split, files in samples.items() if split not in ("", "train")}
    return {
        "train": {name: roles for name, roles in whole.items() if name not in val},
        "val": {name: roles for name, roles in whole.items() if name in val},
        **rest,
    }
