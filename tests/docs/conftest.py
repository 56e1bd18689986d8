"""A folder for each page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atrcnas import KINDS, TASKS
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.strategies import STRATEGIES
from tests.docs.pages import blocks


@pytest.fixture
def folder(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page; what its plugins register is forgotten afterwards."""
    for block in blocks(page):
        if "file" in block.marks:
            (tmp_path / block.marks["file"]).write_text(block.text, encoding="utf-8")
    for registry in (KINDS, TASKS, LOSSES, METRICS, DATASETS, STRATEGIES):
        monkeypatch.setattr(registry, "_records", dict(registry._records))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
