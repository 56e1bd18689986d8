"""Loader processes that cannot hand over a batch, die or hang: one message in seconds, and a stop request is answered."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from torch.utils.data import Dataset

from atrcnas import Experiment
from atrcnas.data import watched
from atrcnas.data.loading import open_source, training_loader
from atrcnas.data.watched import WatchedLoader, polled
from atrcnas.ground.errors import DataError
from tests.conftest import TINY

pytestmark = pytest.mark.timeout(30, func_only=True)  # a loader that hangs fails its test


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 50 kB, those of shared memory neither: as in a /dev/shm that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_full_shared_memory_is_named_with_the_setting_that_helps() -> None:
    experiment = Experiment.load(TINY, ["data.workers=1"])
    loader = training_loader(experiment, open_source(experiment, "train"), range(8), 4, 5)
    with pytest.raises(DataError, match=r"cannot hand over its batch.*/dev/shm.*data\.workers") as caught:
        list(loader)
    assert "Traceback" not in str(caught.value)


class Slow(Dataset[Any]):
    """One sample that takes long, or kills its process."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        if self.seconds < 0:
            os.kill(os.getpid(), signal.SIGBUS)
        time.sleep(self.seconds)
        return index


class Asked(Exception):
    """Stands for a stop request."""


def test_a_request_is_answered_while_a_loader_hangs() -> None:
    asked: list[float] = []

    def poll(waited: float) -> None:
        asked.append(waited)
        if len(asked) == 2:
            raise Asked

    begun = time.monotonic()
    with pytest.raises(Asked), polled(poll):
        next(iter(WatchedLoader(Slow(60), num_workers=1)))
    assert time.monotonic() - begun < 25  # most of it torch, waiting for the process it ends
    assert asked == sorted(asked)


def test_waiting_and_asking_loses_no_batch() -> None:
    asked: list[float] = []
    with polled(asked.append):
        assert [int(batch) for batch in WatchedLoader(Slow(1.5), num_workers=1)] == [0, 1]
    assert asked


def test_a_loader_that_hangs_for_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "MAX_WAIT_S", 1.5)
    with pytest.raises(DataError, match=r"no batch for \d s, the loader processes hang.*/dev/shm.*data\.workers"):
        next(iter(WatchedLoader(Slow(60), num_workers=1)))


def test_a_job_that_was_suspended_has_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system may stop a job by SIGSTOP and let it go on hours later."""
    slept, real = [0.0], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + slept[0])
    threading.Timer(0.5, lambda: slept.append(slept.pop() + 3600)).start()
    assert [int(batch) for batch in WatchedLoader(Slow(1.5), num_workers=1)] == [0, 1]


def test_without_a_folder_for_temporary_files_a_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    monkeypatch.delitem(multiprocessing.process.current_process()._config, "tempdir", raising=False)  # type: ignore[attr-defined]
    experiment = Experiment.load(TINY, ["data.workers=1"])
    loader = training_loader(experiment, open_source(experiment, "train"), range(8), 4, 5)
    with pytest.raises(DataError, match=r"cannot hand over .*/proc/nowhere.*TMPDIR.*data\.workers") as caught:
        list(loader)
    assert "Traceback" not in str(caught.value)


def test_a_process_killed_for_memory_is_reported() -> None:
    with pytest.raises(DataError, match=r"a loader process died \(.*/dev/shm"):
        next(iter(WatchedLoader(Slow(-1), num_workers=1)))


def test_without_processes_nothing_is_watched() -> None:
    assert [int(batch) for batch in WatchedLoader(Slow(0))] == [0, 1]
