"""Finding the YAML that ships with atrcnas (experiments, search spaces, presets) by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from atrcnas.ground.errors import ConfigError

Shelf = Literal["experiments", "search_spaces", "search_spaces/presets"]
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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is longer than a name can be, or a folder of it cannot be searched
        return False
