"""Whether the masks of a data set are stored as 0 and 255: the most common form of two classes there is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from atrcnas.data.rasters import EXACT_SUFFIXES, read_array
from atrcnas.ground.errors import DataError

WHITE = 255


def only_black_and_white(folders: Iterable[Path], max_pixels: int) -> bool:
    """Whether the files of all ``folders`` together hold both 0 and 255, and nothing else.

    255 then means class 1. A single 1 anywhere says that classes are stored as they are, and 255 marks missing truth:
    so the whole data set is asked, since a file without any 1 is common. Reading ends at the first number of another kind.

    Args:
        folders: those of one task, of every split; one that is not there has no files.
        max_pixels: larger files are left out, as unreadable ones are: whoever reads them says so.
    """
    files = sorted(
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix.lower() in EXACT_SUFFIXES and path.is_file()
    )
    return _only_black_and_white(tuple((path, path.stat().st_mtime_ns) for path in files), max_pixels)


@lru_cache(maxsize=16)
def _only_black_and_white(files: tuple[tuple[Path, int], ...], max_pixels: int) -> bool:
    black = white = False
    for path, _ in files:
        try:
            raw = read_array(path, max_pixels, indexed=True)
        except DataError:
            continue
        is_black, is_white = raw == 0, raw == WHITE
        if raw.ndim != 2 or not np.all(is_black | is_white):
            return False
        black, white = black or bool(is_black.any()), white or bool(is_white.any())
    return black and white
