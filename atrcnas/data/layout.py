"""Guessing what lies where in a folder of images and label maps, from the names of its folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from atrcnas.data.folder_files import IMAGE_FOLDER
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import TASKS

LEAVE_OUT = "-"
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_WORDS = {
    IMAGE_FOLDER: ("images", "img", "imgs", "rgb", "photo", "photos", "jpegimages", "frames", "leftimg8bit"),
    "semseg": (
        *("mask", "masks", "label", "labels", "segmentation", "seg", "semantic", "annotation", "annotations"),
        *("gt", "gtfine", "segmentationclass", "classes"),
    ),
    "depth": ("depths", "depth_m", "depth_mm"),
    "normals": ("normal", "surface_normals"),
    "edge": ("edges", "boundary", "boundaries", "contours"),
    "sal": ("saliency", "salience"),
    "human_parts": ("parts", "human_part"),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words}


@dataclass
class Layout:
    """What was found.

    Attributes:
        root: folder that was looked at.
        folders: split ("" where nothing is divided yet) -> "image" or task -> folder.
        left_out: folders whose names say nothing.
        split_names: split -> name of its folder, where each split has one that holds everything.
    """

    root: Path
    folders: dict[str, dict[str, Path]] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)
    split_names: dict[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that have a folder in every split, in the order of the task table."""
        return tuple(task for task in TASKS.names if all(task in parts for parts in self.folders.values()))

    @property
    def readable(self) -> bool:
        """Whether data set `folder` reads it as it is."""
        named = all(folder.name == role for parts in self.folders.values() for role, folder in parts.items())
        return named and {"train", "val"} <= set(self.split_names)


def look(root: Path, ask: Callable[[Path], str] = lambda _: LEAVE_OUT) -> Layout:
    """Find images and label maps in ``root/SPLIT/ROLE``, ``root/ROLE/SPLIT`` or ``root/ROLE``.

    Args:
        root: the folder.
        ask: called for a folder whose name says nothing; gives "image", a task or "-".

    Raises:
        DataError: no such folder, or no images or no label maps in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of images and label maps, got nothing there. Check the path.")
    found = Layout(root)
    answers: dict[str, str] = {}
    for split, role_folder in _candidates(root, found):
        name = role_folder.parent.name if role_folder.name.lower() in _SPLITS else role_folder.name
        role = _role(name)
        if role is None:
            role = answers.setdefault(name, ask(role_folder))
        if role == LEAVE_OUT:
            found.left_out.append(role_folder)
        else:
            found.folders.setdefault(split, {})[role] = role_folder
    found.folders = {split: parts for split, parts in found.folders.items() if IMAGE_FOLDER in parts}
    if not found.folders or not found.tasks:
        what = "label maps" if found.folders else "images"
        raise DataError(
            f"{root}: expected a folder of images (image/) and one for each task ({', '.join(TASKS.names)}), in it or below "
            f"train/ and val/, got no {what} (folders: {', '.join(path.name for path in _below(root)) or 'none'}). "
            "Rename them so."
        )
    return found


def _candidates(root: Path, found: Layout) -> Iterator[tuple[str, Path]]:
    """Folders that may hold files, with their split."""
    for child in _below(root):
        split = _SPLITS.get(child.name.lower())
        if split is not None:
            found.split_names[split] = child.name
            yield from ((split, inner) for inner in _below(child))
        elif splits := [inner for inner in _below(child) if inner.name.lower() in _SPLITS]:
            yield from ((_SPLITS[inner.name.lower()], inner) for inner in splits)
        else:
            yield "", child


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _role(name: str) -> str | None:
    """What a folder of that name holds."""
    lower = name.lower()
    return lower if lower in TASKS or lower == IMAGE_FOLDER else _ROLES.get(lower)
