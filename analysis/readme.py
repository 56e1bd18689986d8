"""Putting what a script made into the README, between the markers of its name."""

from __future__ import annotations

from pathlib import Path

from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import write_text

README = Path(__file__).resolve().parents[1] / "README.md"


def put(readme: str, name: str, made: str) -> str:
    """``readme`` with ``made`` between the markers ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        AtrcnasError: the markers are not there once each, in order.
    """
    first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, begin, rest = readme.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise AtrcnasError(f"README: expected {first} and, after it, {last}, once each. Put them where it goes.")
    return f"{before}{first}\n{made}\n{last}{after}"


def write(name: str, made: str, path: Path = README) -> None:
    """Rewrite that part of the README in place."""
    write_text(path, put(path.read_text(encoding="utf-8"), name, made))
