"""A long search neither grows nor slows down."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.conftest import TINY
from tests.results import record

STEPS = int(os.environ.get("ATRCNAS_LONG_RUN_STEPS", "20000"))
EVERY_S = 2.0


class Look(NamedTuple):
    """One look at the process."""

    cpu_seconds: float
    step: int
    resident_mb: float
    handles: int
    folder_mb: float


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A search of small images from files: steps of some tens of milliseconds."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 4)):
        for kind, shape, high in (("image", (32, 32, 3), 255), ("semseg", (32, 32), 3), ("sal", (32, 32), 2)):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, high, shape, np.uint8)).save(folder / f"{i:02d}.png")
    data = {"name": "folder", "options": {"root": str(tmp_path / "data"), "classes": {"semseg": 3}}}
    search = {"steps": STEPS, "batch_size": 2, "validate_every": STEPS // 20, "log_every": STEPS // 200}
    value = {**TINY, "tasks": ["semseg", "sal"], "data": data, "search": {**search, "estimator": "sampled"}}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(value))
    return tmp_path / "long.yaml"


def look(process: subprocess.Popen[bytes], run: Path) -> Look | None:
    """Time, memory, handles and folder of the process; None before its first row or after its end."""
    try:
        proc = Path(f"/proc/{process.pid}")
        resident = int(proc.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        handles = len(list((proc / "fd").iterdir()))
        ticks = proc.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        step = int(pd.read_csv(run / "search/metrics.csv")["step"].max())
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) / 1e6
    except (OSError, ValueError, pd.errors.EmptyDataError):
        return None
    return Look(sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), step, resident, handles, size)


@pytest.mark.slow
def test_a_long_search_neither_grows_nor_slows_down(experiment: Path) -> None:
    command = [sys.executable, "-m", "atrcnas", "search", str(experiment), "--run", "run"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=experiment.parent, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    looks: list[Look] = []
    while process.poll() is None:
        time.sleep(EVERY_S)
        seen = look(process, experiment.parent / "run")
        if seen is not None and seen.step > STEPS // 10:  # after warm-up
            looks.append(seen)
    assert process.returncode == 0
    third = len(looks) // 3
    first, last = looks[:third], looks[-third:]
    memory = [statistics.median(one.resident_mb for one in part) for part in (first, last)]
    pace = [(part[-1].cpu_seconds - part[0].cpu_seconds) / (part[-1].step - part[0].step) for part in (first, last)]
    growth = memory[1] / memory[0] - 1
    assert growth < 0.02, memory
    assert max(one.handles for one in last) <= max(one.handles for one in first)
    assert pace[1] < 1.25 * pace[0], "of processor time, on a shared machine"
    assert looks[-1].folder_mb < 30
    record(
        "test_long_run",
        f"{STEPS} steps in {time.monotonic() - began:.0f} s: resident memory {memory[0]:.0f} -> {memory[1]:.0f} MB "
        f"({growth:+.1%}), {pace[0] * 1e3:.1f} -> {pace[1] * 1e3:.1f} ms of processor time a step, "
        f"{max(one.handles for one in last)} file handles, "
        f"run folder {looks[-1].folder_mb:.1f} MB",
    )
