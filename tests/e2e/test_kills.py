"""A real search process is killed again and again, in the middle of saving too, and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from atrcnas.engine.checkpoints import read_checkpoint
from tests.conftest import TINY
from tests.results import record

KILLS = 20
STEPS = 120
OPTIONS = [f"search.steps={STEPS}", "search.validate_every=5", "search.log_every=1", "search.commit_gap=0.05"]


def start(folder: Path, run: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "atrcnas", "search", "tiny.yaml", "--run", run, "--resume", *OPTIONS]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def hashes(run: Path) -> dict[str, str]:
    """Of everything a search leaves; of the checkpoint its tensors, since the file holds no more."""
    found = {
        name: hashlib.sha256((run / name).read_bytes()).hexdigest()
        for name in ("contexts.yaml", "search/metrics.csv", "search/logits.csv", "experiment.yaml")
    }
    state = read_checkpoint(run / "search/checkpoints/last.ckpt")
    del state["tables"]  # sizes of the files, budget.csv's among them, which holds seconds
    digest = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, dict):
            for key in value:
                digest.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list):
            for item in value:
                add(item)
        else:
            digest.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else str(value).encode())

    add(state)
    return {**found, "last.ckpt": digest.hexdigest()}


def wait_for(condition, process: subprocess.Popen[bytes], seconds: float = 120.0) -> bool:
    """Whether the condition came true before the process ended."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.0005)
    return False


def kill_at_random(process: subprocess.Popen[bytes], run: Path, rng: random.Random, while_saving: bool) -> str:
    """Wait until the process trains, then kill it at a random moment; say what it was doing."""
    table, folder = run / "search/metrics.csv", run / "search/checkpoints"
    before = table.stat().st_mtime_ns if table.is_file() else 0
    wait_for(lambda: table.is_file() and table.stat().st_mtime_ns > before, process)
    if while_saving:
        wait_for(lambda: any(folder.glob(".partial-last.ckpt.*")), process)
    else:
        time.sleep(rng.uniform(0.0, 1.5))
    if process.poll() is not None:
        return "finished"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return "saving" if any(folder.glob(".partial-last.ckpt.*")) else "elsewhere"


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    assert start(tmp_path, "whole").wait() == 0
    wanted = hashes(tmp_path / "whole")
    moments: list[str] = []
    equal = rounds = 0
    while len(moments) < KILLS:
        run = f"killed{rounds}"
        rounds += 1
        while True:
            process = start(tmp_path, run)
            moment = (
                "last"
                if len(moments) == KILLS
                else kill_at_random(process, tmp_path / run, rng, while_saving=len(moments) % 2 == 0)
            )
            if moment in ("last", "finished"):
                break
            moments.append(moment)
        assert process.wait() == 0
        assert hashes(tmp_path / run) == wanted
        assert not list((tmp_path / run).rglob(".partial-*"))
        equal += 1
    saving = moments.count("saving")
    assert saving >= 3, f"only {saving} kills hit a save"
    record(
        "test_kills",
        f"{len(moments)} of {KILLS} SIGKILLs survived, {saving} of them while a checkpoint was written; "
        f"{equal} run(s) of {STEPS} steps, all hashes equal to an uninterrupted one",
    )


@pytest.mark.slow
def test_sigterm_ends_a_real_process_within_ten_seconds(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "data": {**TINY["data"], "workers": 2}}))
    command = [sys.executable, "-m", "atrcnas", "search", "tiny.yaml", "--run", "run", "search.steps=5000"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert wait_for(lambda: (tmp_path / "run/search/checkpoints/last.ckpt").is_file(), process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)  # as a cluster does
    said = process.communicate(timeout=60)[1]
    seconds = time.monotonic() - began
    assert process.returncode == 0, said
    assert "the state is saved; go on with --resume" in said
    assert seconds < 10
    record("test_sigterm", f"saved and left {seconds:.1f} s after SIGTERM to its process group, status 0")
