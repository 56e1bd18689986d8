"""The pages of the documentation and their fenced blocks.

Blocks marked ``file=NAME`` are written to the page's folder, so that its other blocks can use them. Blocks marked ``sh run``
are really run, all other command lines are parsed by the program they call.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    marks: dict[str, str]
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    found = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    marked = [
        Block(first, dict(mark.partition("=")[::2] for mark in marks.split()), text) for first, marks, text in found
    ]
    return [block for block in marked if not languages or block.language in languages]
