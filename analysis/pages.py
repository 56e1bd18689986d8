"""Putting what a script made into a page of the documentation, between the markers of its name."""

from __future__ import annotations

from pathlib import Path

from analysis.places import DOCS
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import write_text

PRESETS, SPEED, KEYS, BACKBONES = (DOCS / f"{name}.md" for name in ("presets", "speed", "keys", "backbones"))
SEARCH_QUALITY = DOCS / "search-quality.md"
PLANTED = DOCS / "planted.md"
TREES = DOCS / "comparing-trees.md"


def markers(name: str) -> tuple[str, str]:
    """The comments before and after what is made under ``name``."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def put(page: str, name: str, made: str) -> str:
    """``page`` with ``made`` between the markers of ``name``.

    Raises:
        AtrcnasError: the markers are not there once each, in order.
    """
    first, last = markers(name)
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise AtrcnasError(f"page: expected {first} and, after it, {last}, once each. Put them where the table goes.")
    return f"{before}{first}\n{made}\n{last}{after}"


def made(page: Path, name: str) -> str:
    """What stands between the markers of ``name``."""
    first, last = markers(name)
    return page.read_text(encoding="utf-8").partition(first)[2].partition(last)[0].strip("\n")


def write(page: Path, name: str, made: str) -> None:
    """Rewrite that part of a page in place."""
    write_text(page, put(page.read_text(encoding="utf-8"), name, made))
