"""tests/RESULTS.md: what the slow tests measured when they last ran, written by them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import torch

PATH = Path(__file__).with_name("RESULTS.md")
HEAD = """# What the slow tests measured

Written by `make test-slow`; each row by the test it names, when that test last passed.

| test | measured | where and when |
| --- | --- | --- |
"""


PART = "\n## "


def record(test: str, measured: str) -> None:
    """Replace the row of ``test``."""
    table, *parts = PATH.read_text().split(PART) if PATH.is_file() else [""]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    day = datetime.now(UTC).date().isoformat()
    where = f"{os.cpu_count()} CPU cores, torch {torch.__version__.partition('+')[0]}, {day}"
    rows = [row for row in rows if not row.startswith(f"| `{test}` ")] + [f"| `{test}` | {measured} | {where} |"]
    PATH.write_text(PART.join([HEAD + "\n".join(sorted(rows)) + "\n", *parts]))


def record_part(title: str, text: str) -> None:
    """Replace what stands below a title, after the table."""
    table, *parts = PATH.read_text().split(PART)
    parts = [part for part in parts if part.partition("\n")[0] != title]
    PATH.write_text(PART.join([table, *parts, f"{title}\n\n{text}\n"]))


def record_row(title: str, head: str, row: str) -> None:
    """Replace the row that begins like ``row`` in the table below a title, or add it; ``head`` stands before the rows."""
    parts = PATH.read_text().split(PART)
    _, _, rows = next((part for part in parts if part.partition("\n")[0] == title), "").partition("\n| --- ")
    kept = [line for line in rows.splitlines()[1:] if line and not line.startswith(row.partition(" | ")[0] + " | ")]
    record_part(title, "\n".join([head, *sorted([*kept, row])]))
