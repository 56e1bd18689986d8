"""Lets the tests here import the script beside them, and finds the golden files where there are any."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def golden_dir() -> Path | None:
    """`shared/golden` in or beside a folder above the repository; None if there is none."""
    found = (folder / "shared" / "golden" for folder in Path(__file__).resolve().parents)
    return next((folder for folder in found if (folder / "meta.json").is_file()), None)
