"""What `atrcnas predict` is given: images, folders of images, videos and cameras."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrcnas.data.rasters import IMAGE_SUFFIXES, read_size
from atrcnas.ground.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
_CAMERA = re.compile(r"camera(?::(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True)
class Inputs:
    """Inputs by the name that their predictions get.

    Attributes:
        images: photographs.
        videos: video files, and numbers of cameras.
    """

    images: dict[str, Path]
    videos: dict[str, Path | int]


def find_inputs(sources: Sequence[Path]) -> Inputs:
    """Sort what the user named; the headers of all images are read.

    Args:
        sources: image files, folders (their image files, in order of their names), video files, and ``camera`` or
            ``camera:1`` for a camera of this machine.

    Raises:
        DataError: an image cannot be read, a folder has none, or two inputs have one name.
    """
    images: dict[str, Path] = {}
    videos: dict[str, Path | int] = {}
    origin: dict[str, Path] = {}
    for path in _expanded(sources):
        camera = None if path.exists() else _CAMERA.fullmatch(str(path))
        name = f"camera{camera[1] or 0}" if camera else path.stem
        if name in origin:
            raise DataError(
                f"{path}: would overwrite the predictions of {origin[name]}, both are named '{name}'. "
                "Predict them into two folders, or rename one."
            )
        origin[name] = path
        if camera:
            videos[name] = int(camera[1] or 0)
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            videos[name] = path
        else:
            images[name] = path
    for path in images.values():
        read_size(path)
    return Inputs(images, videos)


def _expanded(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        found = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        found = [path for path in found if not path.name.startswith(".")]
        if not found:
            raise DataError(
                f"{source}: expected a folder with images ({', '.join(IMAGE_SUFFIXES)}), got none. Check it."
            )
        yield from found
