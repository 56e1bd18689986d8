"""Settings every test shares."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

# Before torch is imported: with several test processes on few cores, one thread each, and no spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
BEGAN = time.monotonic()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """`make test-slow` leaves its outcome in tests/RESULTS.md; tests that measure add rows of their own."""
    if config.option.markexpr == "slow" and config.args_source != config.ArgsSource.ARGS:  # all of them
        from tests.results import record

        counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        record("make test-slow", f"{told} in {(time.monotonic() - BEGAN) / 60:.0f} min")


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
