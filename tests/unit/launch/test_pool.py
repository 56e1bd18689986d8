"""Calls in real processes: what they answer, and what becomes of them when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.launch.engines import open_pool
from atrcnas.launch.pool import RERUNS, Local, Pool
from atrcnas.spec.launch import LaunchSpec
from tests.unit.launch.fake import FAULT


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with open_pool(LaunchSpec(engine="processes", workers=2)) as opened:
        yield opened


def test_a_call_is_answered_whatever_it_prints(pool: Pool, tmp_path: Path) -> None:
    answer = pool.submit(FAULT, {"folder": str(tmp_path / "one")}).result()
    assert answer["calls"] == 1 and answer["threads"] == "1" and answer["pid"] != os.getpid()


def test_a_call_whose_worker_died_is_made_again(pool: Pool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert pool.submit(FAULT, {"folder": str(tmp_path / "one"), "deaths": RERUNS}).result()["calls"] == RERUNS + 1
    assert f"{tmp_path / 'one'}: its worker died (exit status -9)" in capfd.readouterr().err


def test_a_call_that_kills_every_worker_is_given_up(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"one: its worker died 3 times\. Out of memory"):
        pool.submit(FAULT, {"folder": str(tmp_path / "one"), "deaths": 99}).result()
    assert len(list((tmp_path / "one").iterdir())) == RERUNS + 1
    assert pool.submit(FAULT, {"folder": str(tmp_path / "two")}).result()["calls"] == 1


def test_a_failed_call_says_where_and_why(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"(?s)one: .*what went wrong"):
        pool.submit(FAULT, {"folder": str(tmp_path / "one"), "raises": True}).result()


def test_a_call_in_this_process_leaves_the_generators_as_they_were() -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Local().submit("torch:manual_seed", 1)  # type: ignore[arg-type]
    assert torch.equal(torch.rand(3), expected)


def test_a_module_in_the_working_folder_replaces_none_of_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("queue", "random"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with open_pool(LaunchSpec(engine="processes", workers=1)) as opened:
        assert opened.submit(FAULT, {"folder": str(tmp_path / "one")}).result()["calls"] == 1


DRIVER = """
import sys, time
from atrcnas.launch.processes import Processes
pool = Processes(1)
print(pool.submit("tests.unit.launch.fake:fault", {"folder": sys.argv[1]}).result()["pid"], flush=True)
pool.submit("tests.unit.launch.fake:fault", {"folder": sys.argv[1], "sleeps": 1000})
time.sleep(1000)
"""


def test_workers_end_with_a_killed_driver_even_in_mid_call(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])  # a worker imports from where its driver was told to, not from its own folder
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "x")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    ends = time.monotonic() + 10
    while _lives(worker):
        assert time.monotonic() < ends, f"worker {worker} outlived its driver"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ray_missing_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"Ray cannot be imported.*atrcnas\[ray\]"), open_pool(LaunchSpec(engine="ray")):
        pass
