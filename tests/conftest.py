"""Settings every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

# Before torch is imported: with several test processes on few cores, one thread each, and no spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A slow test that passes leaves a row in tests/RESULTS.md; one that measures adds its own."""
    if report.when == "call" and report.passed and "slow" in report.keywords:
        from tests.results import record

        record(report.nodeid.removeprefix("tests/"), f"passed in {report.duration:.0f} s")


@pytest.fixture
def tiny_experiment(tmp_path: Path) -> Path:
    """An experiment file that runs the whole job in seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


TINY = {
    "schema": 1,
    "name": "tiny",
    "seed": 3,
    "tasks": ["semseg", "depth"],
    "data": {
        "name": "rooms",
        "options": {"image_size": [64, 96], "train_size": 40, "val_size": 4},
        "augment": {"scale": [0.75, 1.5]},
    },
    "backbone": {"name": "mobilenetv3_small_050"},
    "model": {"width": 16},
    "space": "full",
    "search": {"steps": 6, "batch_size": 4, "validate_every": 3, "log_every": 2, "logits_learning_rate": 0.1},
    "retrain": {"steps": 4, "batch_size": 4, "validate_every": 2, "log_every": 2},
}
