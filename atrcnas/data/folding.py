"""One fault in many files as one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

_MAX_NAMED = 3
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# The first word of a problem names its file or sample; a path of Windows has a colon of its own.
_WHERE = re.compile(r"(?:\w:)?[^:]+(?=: )")


def fold(problems: Iterable[str]) -> list[str]:
    """Put faults together that differ in nothing but the file's name and in numbers.

    Args:
        problems: one line per fault, ``FILE: what is wrong. <way out>``.

    Returns:
        In the order of their first file, one line per kind of fault and folder; where it stands for several, it ends with
        how many more files there are, and some names.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for line in problems:
        groups.setdefault(_kind(line), []).append(line)
    return [_together(lines) for lines in groups.values()]


def _kind(line: str) -> tuple[str, str]:
    where = _where(line)
    # A list of several numbers is of the same kind as one.
    said = re.sub(r"#(, #)+", "#", _NUMBER.sub("#", line[len(where) :])).replace(", ...", "")
    return str(PurePath(where).parent) if "/" in where else "", said


def _where(line: str) -> str:
    found = _WHERE.match(line)
    return found.group() if found else ""


def _together(lines: list[str]) -> str:
    first, *others = lines
    if not others:
        return first
    names = [PurePath(_where(line)).name for line in others]
    more = ", ..." if len(names) > _MAX_NAMED else ""
    files = "files" if len(names) > 1 else "file"
    return f"{first} The same in {len(names)} more {files}: {', '.join(names[:_MAX_NAMED])}{more}"
