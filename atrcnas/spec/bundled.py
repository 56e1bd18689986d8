"""Finding the YAML that ships with atrcnas (experiments, search spaces, presets) by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal, get_args

from atrcnas.ground.errors import AtrcnasError, ConfigError
from atrcnas.ground.files import write_text

Shelf = Literal["experiments", "search_spaces", "search_spaces/presets"]
SHELVES: tuple[Shelf, ...] = get_args(Shelf)
_MAX_SHOWN = 200
_PACKAGE = Path(__file__).resolve().parent.parent


def shelf_dir(shelf: Shelf) -> Path:
    """The folder of ``shelf``: inside the package when installed from a wheel, beside it in a source tree."""
    inside = _PACKAGE / shelf
    return inside if inside.is_dir() else _PACKAGE.parent / shelf


def names(shelf: Shelf) -> list[str]:
    """What can be asked for by name."""
    return sorted(path.stem for path in shelf_dir(shelf).glob("*.yaml"))


def find(text: str | Path, shelf: Shelf, noun: str) -> Path:
    """A path if ``text`` is one, else the bundled file of that name.

    Raises:
        ConfigError: neither; lists the names and the nearest spelling.
    """
    path = Path(text)
    if _is_file(path):
        return path
    bundled = shelf_dir(shelf) / f"{text}.yaml"
    if path.name == str(text) and _is_file(bundled):
        return bundled
    known, text = names(shelf), str(text)[:_MAX_SHOWN]
    near = difflib.get_close_matches(text, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"{text}: no such file, and no bundled {noun} of that name.{hint} Bundled: {', '.join(known)}.")


def is_bundled(path: Path) -> bool:
    """Whether a file is one that ships with atrcnas."""
    return any(path.parent == shelf_dir(shelf) for shelf in SHELVES)


def text_of(name: str) -> str:
    """The YAML of a bundled experiment, search space or preset, comments and all.

    Raises:
        ConfigError: there is none of that name; lists the names and the nearest spelling.
    """
    for shelf in SHELVES:
        if name in names(shelf):
            return (shelf_dir(shelf) / f"{name}.yaml").read_text(encoding="utf-8")
    known = [name for shelf in SHELVES for name in names(shelf)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"{name[:_MAX_SHOWN]}: no bundled file of that name.{hint} Bundled: {', '.join(known)}.")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        AtrcnasError: it is there.
    """
    if path.exists() or path.is_symlink():
        raise AtrcnasError(f"{path}: expected no file there yet, got one. Choose another name, or remove it first.")
    write_text(path, text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is longer than a name can be, or a folder of it cannot be searched
        return False
