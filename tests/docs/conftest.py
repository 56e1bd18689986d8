"""A folder for each page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm.models._registry as timm_registry

from atrcnas import KINDS, TASKS
from atrcnas.deploy.formats import DEPLOY_FORMATS
from atrcnas.ground.registry import Registry
from atrcnas.plots import PLOTS
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.loggers import LOGGERS
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES
from tests.docs.pages import blocks

REGISTRIES: tuple[Registry[Any], ...] = (
    *(KINDS, TASKS, LOSSES, METRICS, LABEL_ENCODERS, DECODERS, DATASETS, OPTIMIZERS, SCHEDULES),
    *(LOSS_WEIGHTINGS, STRATEGIES, ESTIMATORS, LOGGERS, PLOTS, DEPLOY_FORMATS),
)


@pytest.fixture
def folder(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page; what its plugins register is forgotten afterwards."""
    for block in blocks(page):
        if "file" in block.marks:
            (tmp_path / block.marks["file"]).write_text(block.text, encoding="utf-8")
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_records", dict(registry._records))
    monkeypatch.setattr(timm_registry, "_model_entrypoints", dict(timm_registry._model_entrypoints))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
