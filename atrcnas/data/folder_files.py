"""Finding the files of a split and checking, from names and headers alone, that they belong together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrcnas.data.rasters import IMAGE_SUFFIXES, LOSSY_SUFFIXES, NOT_EXACT, TARGET_SUFFIXES, read_size
from atrcnas.ground.errors import DataError

IMAGE_FOLDER = "image"
_MAX_LISTED = 5


@dataclass(frozen=True)
class Entry:
    """The files of one sample.

    Attributes:
        name: file name without suffix.
        image: the photograph.
        targets: task -> ground-truth file, without the tasks that the image is not labelled for.
    """

    name: str
    image: Path
    targets: dict[str, Path]


def find_entries(
    root: Path,
    split: str,
    tasks: Sequence[str],
    max_pixels: int,
    partial: Collection[str] = (),
    exact: Collection[str] = (),
) -> list[Entry]:
    """List ``root/split/{image,TASK,...}/NAME.*``, sorted by name.

    Args:
        root: the data set's folder.
        split: name of the split's folder.
        tasks: names of the task folders that are needed.
        max_pixels: larger files are refused.
        partial: tasks for which images may lack the file; then a file without an image is a problem instead, since a
            misspelt name would pass for a missing label.
        exact: tasks whose files hold class numbers, which JPEG would change.

    Raises:
        DataError: a folder or file is missing, names are ambiguous, or sizes differ; one line per problem, all at once.
    """
    try:
        return _find_entries(_find_split(root, split), tasks, max_pixels, partial, exact)
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: expected a readable folder, got an error ({error.strerror}). "
            "Check its permissions."
        ) from error


def _find_entries(
    home: Path, tasks: Sequence[str], max_pixels: int, partial: Collection[str], exact: Collection[str]
) -> list[Entry]:
    problems = [line for task in exact for line in _lossy_files(home / task)]
    images = _list_folder(home / IMAGE_FOLDER, IMAGE_SUFFIXES, problems)
    targets = {task: _list_folder(home / task, TARGET_SUFFIXES, problems) for task in tasks}
    for task, files in targets.items():
        if files is not None and images:
            problems += (_strangers if task in partial else _missing_files)(home / task, images, files)
    entries = [
        Entry(
            name, image, {task: files[name] for task, files in targets.items() if files is not None and name in files}
        )
        for name, image in sorted((images or {}).items())
    ]
    problems += _size_problems(entries, max_pixels)
    if problems:
        raise DataError("\n".join(problems))
    return entries


def _find_split(root: Path, split: str) -> Path:
    if not root.is_dir():
        got = "a file" if root.exists() else "nothing"
        raise DataError(f"{root}: expected the data set's folder, got {got} there. Set data.options.root.")
    home = root / split
    if not home.is_dir():
        found = [path.name for path in root.iterdir() if path.is_dir()]
        raise DataError(
            f"{home}: expected the split's folder, got nothing there (folders next to it: {_listed(found)}). "
            "Set data.options.train_split, val_split or test_split."
        )
    return home


def _list_folder(folder: Path, suffixes: tuple[str, ...], problems: list[str]) -> dict[str, Path] | None:
    """Files by name without suffix; None, with a problem noted, if the folder is missing or has none."""
    if not folder.is_dir():
        problems.append(f"{folder}: expected a folder, got nothing there. Create it with a file per sample.")
        return None
    found: dict[str, Path] = {}
    doubles: list[str] = []
    others: list[str] = []
    for path in _files(folder):
        if path.suffix.lower() not in suffixes:
            others.append(path.name)
        elif path.stem in found:
            doubles.append(f"{found[path.stem].name} and {path.name}")
        else:
            found[path.stem] = path
    if doubles:
        problems.append(f"{folder}: expected one file per name, got {_listed(doubles)}. Remove one of each.")
    if not found:
        got = f"only other files ({_listed(others)})" if others else "no files"
        problems.append(f"{folder}: expected {' '.join(suffixes)} files, got {got}. Put one per sample there.")
        return None
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _lossy_files(folder: Path) -> list[str]:
    lossy = [path.name for path in _files(folder) if path.suffix.lower() in LOSSY_SUFFIXES] if folder.is_dir() else []
    if not lossy:
        return []
    return [
        f"{folder}: expected class numbers in PNG or .npy, got JPEG: {_listed(lossy)}. {NOT_EXACT}. Save them as PNG from "
        "what they were made of; a JPEG cannot be turned back."
    ]


def _missing_files(folder: Path, images: dict[str, Path], files: dict[str, Path]) -> list[str]:
    missing = sorted(name for name in images if name not in files)
    if not missing:
        return []
    strangers = [path.name for name, path in sorted(files.items()) if name not in images]
    seen = f" Files there without an image: {_listed(strangers)}." if strangers else ""
    return [
        f"{folder}: expected a file for each of {len(images)} images, got none for {len(missing)}: {_listed(missing)}."
        f"{seen} Add them under the image's name, or remove those images."
    ]


def _strangers(folder: Path, images: dict[str, Path], files: dict[str, Path]) -> list[str]:
    strangers = [path.name for name, path in sorted(files.items()) if name not in images]
    if not strangers:
        return []
    return [f"{folder}: expected files named after images, got {_listed(strangers)}. Rename or remove them."]


def _size_problems(entries: Iterable[Entry], max_pixels: int) -> list[str]:
    """Headers that cannot be read and targets whose size is not the image's, at most a few per folder."""
    by_folder: dict[Path, list[str]] = {}

    def size_of(path: Path, upright: bool) -> tuple[int, int] | None:
        try:
            return read_size(path, max_pixels, upright=upright)
        except DataError as error:
            by_folder.setdefault(path.parent, []).append(str(error))
            return None

    for entry in entries:
        image_size = size_of(entry.image, upright=True)
        for path in entry.targets.values():
            size = size_of(path, upright=False)
            if size is not None and image_size is not None and size != image_size:
                by_folder.setdefault(path.parent, []).append(_size_problem(path, image_size, size))
    return [line for folder, lines in by_folder.items() for line in _shortened(folder, lines)]


def _size_problem(path: Path, expected: tuple[int, int], got: tuple[int, int]) -> str:
    turned = expected == got[::-1] and expected != got
    way_out = "The image's EXIF rotation is applied; rotate the target too." if turned else "Resize it to the image."
    return f"{path}: expected the image's size, {expected[0]} x {expected[1]}, got {got[0]} x {got[1]}. {way_out}"


def _shortened(folder: Path, lines: list[str]) -> list[str]:
    rest = len(lines) - _MAX_LISTED
    return lines[:_MAX_LISTED] + ([f"{folder}: {rest} more files with such problems."] if rest > 0 else [])


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MAX_LISTED
    return (", ".join(names[:_MAX_LISTED]) or "none") + (f" and {rest} more" if rest > 0 else "")
