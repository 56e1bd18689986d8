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


def record(test: str, measured: str) -> None:
    """Replace the row of ``test``."""
    rows = [line for line in PATH.read_text().splitlines() if line.startswith("| `")] if PATH.is_file() else []
    day = datetime.now(UTC).date().isoformat()
    where = f"{os.cpu_count()} CPU cores, torch {torch.__version__.partition('+')[0]}, {day}"
    rows = [row for row in rows if not row.startswith(f"| `{test}` ")] + [f"| `{test}` | {measured} | {where} |"]
    PATH.write_text(HEAD + "\n".join(sorted(rows)) + "\n")
