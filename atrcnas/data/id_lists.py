"""What the published data sets share: splits given by lists of ids, and one file per id in each folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from atrcnas.data.normals_centroids import published_centroids
from atrcnas.data.reading import read_image
from atrcnas.data.sample import Sample, Split
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.opening import read_regular
from atrcnas.spec.schema import Bool, Spec

Labels = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]
SPLITS: tuple[Literal["train", "val"], ...] = ("train", "val")
_MAX_LISTED = 5
_MAX_LIST_BYTES = 16_000_000
# An id becomes part of a path: no separator, and nothing that is a folder's name.
_ID = re.compile(r"(?!\.)[\w.-]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Layout:
    """Where a published data set keeps its files, as paths below its own folder.

    Attributes:
        name: the word in ``data.name``.
        folders: what its archives call its own folder.
        lists: folder of the id lists, one ``SPLIT.txt`` each.
        image: path of a photograph, ``{id}`` for the id, with its alternatives.
        files: task -> paths, all of them needed; each with alternatives, of which the first that exists is read.
        image_size: (height, width) of the images that published figures are for; None if they have several sizes.
    """

    name: str
    folders: tuple[str, ...]
    lists: str
    image: tuple[str, ...]
    files: Mapping[str, tuple[tuple[str, ...], ...]]
    image_size: tuple[int, int] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks the data set has ground truth for."""
        return tuple(self.files)

    def find_home(self, root: Path) -> Path:
        """The data set's own folder: ``root`` itself, or the one an archive unpacked into ``root``.

        Raises:
            DataError: neither has the folder of id lists.
        """
        homes = [root, *(root / folder for folder in self.folders)]
        for home in homes:
            if (home / self.lists).is_dir():
                return home
        seen = "nothing there" if not root.exists() else f"no {self.lists} in it or in {' or '.join(self.folders)}"
        raise DataError(f"{root}: expected the folder of '{self.name}', got {seen}. {self.way_out(root)}")

    def way_out(self, root: Path) -> str:
        """Last sentence of a message about missing files."""
        return (
            f"Unpack the archive with `atrcnas data prepare {self.name} --archive FILE --root {root}`, "
            "or correct data.options.root."
        )


class ListedOptions(Spec):
    """What all data sets of this kind ask for."""

    root: Path = Field(description="the data set's own folder, or the folder its archive was unpacked into")
    unit_normals: Bool = Field(
        default=True, description="bring normals to unit length; false: as stored, with the rounding of 8-bit files"
    )


class Listed:
    """One split of a data set whose samples are listed by id, in the list's order.

    A subclass names its ``layout`` and says how a task's files are read.
    """

    layout: ClassVar[Layout]
    Options: ClassVar[type[Any]]

    def __init__(self, options: ListedOptions, split: Split, tasks: Sequence[str]) -> None:
        """Read the split's list and check, by name alone, that all files are there.

        Args:
            options: of the data set.
            split: ``train`` or ``val``; the published data sets have no test split.
            tasks: names of tasks, each in ``layout.tasks``.

        Raises:
            ConfigError: a task without ground truth here.
            DataError: no such split, or folders or files are missing; one line per folder, all at once.
        """
        layout, root = self.layout, options.root
        for task in tasks:
            if task not in layout.files:
                raise ConfigError(f"tasks: '{layout.name}' has no '{task}'. Its tasks: {', '.join(layout.tasks)}.")
        if split not in SPLITS:
            raise DataError(f"data: '{layout.name}' has no {split} split. Use {' or '.join(SPLITS)}.")
        self._tasks, self._unit_normals = tuple(tasks), options.unit_normals
        self._home = layout.find_home(root)
        listing = self._home / layout.lists / f"{split}.txt"
        self._ids = read_ids(listing, layout.way_out(root))
        problems = _missing_files(self._home, layout, self._ids, self._tasks)
        if problems:
            raise DataError("\n".join([*problems, f"{listing}: {layout.way_out(root)}"]))

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: a file is damaged, holds values out of range, or differs from the image in size.
        """
        name = self._ids[index]
        image = read_image(self._find(self.layout.image, name))
        shape = (image.shape[0], image.shape[1])
        targets, valid = {}, {}
        for task in self._tasks:
            targets[task], valid[task] = self._read(task, name, shape)
            got = valid[task].shape
            if got != shape:
                raise DataError(
                    f"{self._path(task, name)}: expected the image's size, {shape[0]} x {shape[1]}, "
                    f"got {got[0]} x {got[1]}. Replace the file with that of the published archive."
                )
        return Sample(name, image, targets, valid)

    @property
    def stored(self) -> str:
        """Which of the layouts in use the files have; those of the first sample stand for all."""
        patterns = [self.layout.image, *(paths for task in self._tasks for paths in self.layout.files[task])]
        files = dict.fromkeys(self._find(paths, self._ids[0]) for paths in patterns)
        return f"{self._home.name}: " + ", ".join(f"{path.parent.name}/*{path.suffix}" for path in files)

    @property
    def centroids(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Task -> [40, 3] unit vectors, the published directions its vectors are grouped by."""
        return {"normals": published_centroids(self.layout.name)}

    def _read(self, task: str, name: str, shape: tuple[int, int]) -> Labels:
        """Values and valid mask of one task; ``shape`` is the image's (height, width)."""
        raise NotImplementedError

    def _path(self, task: str, name: str, part: int = 0) -> Path:
        """The file of ``task``: of the alternatives for its ``part``, the first that exists."""
        return self._find(self.layout.files[task][part], name)

    def _find(self, patterns: Sequence[str], name: str) -> Path:
        paths = [self._home / pattern.format(id=name) for pattern in patterns]
        return next((path for path in paths[:-1] if path.is_file()), paths[-1])


def read_ids(path: Path, way_out: str) -> list[str]:
    """Read a split's list.

    Args:
        path: text file with one id per line; blank lines are skipped.
        way_out: last sentence of a message about a missing list.

    Returns:
        The ids in the file's order.

    Raises:
        DataError: missing, not text, empty, a repeated id, or one that is not a plain file name.
    """
    try:
        ids = read_regular(path, _MAX_LIST_BYTES).decode("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(f"{path}: expected a list with one id per line, got an error ({reason}). {way_out}") from error
    wrong = [name for name in ids if not is_id(name)]
    if wrong:
        raise DataError(
            f"{path}: expected ids of letters, digits, '_', '-' and '.', got {wrong[0]!r:.60}. Correct the list."
        )
    if len(set(ids)) < len(ids):
        twice = [name for name, count in Counter(ids).items() if count > 1]
        raise DataError(f"{path}: expected each id once, got {_listed(twice)} again. Remove the repetitions.")
    if not ids:
        raise DataError(f"{path}: expected ids, got an empty list. {way_out}")
    return ids


def is_id(name: str) -> bool:
    """True if ``name`` can be a sample's name: one plain component of a path."""
    return _ID.fullmatch(name) is not None


def _missing_files(home: Path, layout: Layout, ids: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """One line per folder that lacks files of the split."""
    needed = [layout.image, *dict.fromkeys(paths for task in tasks for paths in layout.files[task])]
    problems = []
    for patterns in needed:
        has = [_lister(home, pattern) for pattern in patterns]
        missing = [name for name in ids if not any(lister(name) for lister in has)]
        if missing:
            wanted = " or ".join(patterns).replace("{id}", "ID")
            problems.append(
                f"{home}: expected {wanted} for each of {len(ids)} ids, got none for {len(missing)}: "
                f"{_listed(missing)}."
            )
    return problems


def _lister(home: Path, pattern: str) -> Callable[[str], bool]:
    """Whether the file of an id exists; lists the folder once, since a query per file is slow over a network."""
    folder, (prefix, suffix) = (home / pattern).parent, (home / pattern).name.split("{id}")
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        names = set()
    return lambda name: f"{prefix}{name}{suffix}" in names


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
