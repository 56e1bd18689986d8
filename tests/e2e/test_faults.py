"""What happens when the machine or the data fail in the middle of a run: one message, and nothing lost."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.data.loading import _Prepared
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.training import Training
from atrcnas.ground.errors import AtrcnasError, DataError, RunError, Stopped
from tests.conftest import TINY

BASELINE = ContextConfig.load("baseline")


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, do) -> None:
    """Do something just before a step."""
    whole = Training.begin_step

    def begin_step(self: Training) -> None:
        if self.step == step:
            do()
        whole(self)

    monkeypatch.setattr(Training, "begin_step", begin_step)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1 MB: as on a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def fill_the_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_leaves_the_previous_checkpoint_and_the_run_continues_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.load(TINY)
    whole = search(experiment, tmp_path / "whole")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        at_step(patch, 4, fill_the_disk)
        with pytest.raises(
            AtrcnasError, match=r"last\.ckpt: cannot write .* MB free there.*unchanged.*Free some space"
        ):
            search(experiment, tmp_path / "run")
    assert read_checkpoint(tmp_path / "run/search/checkpoints/last.ckpt")["step"] == 3
    assert not list((tmp_path / "run/search/checkpoints").glob(".*")), "no half-written file stays"
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert search(experiment, tmp_path / "run", resume=True) == whole


def test_a_run_folder_that_was_moved_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.load(TINY)
    whole = search(experiment, tmp_path / "whole")
    with monkeypatch.context() as patch:
        at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Exception, match="stopped by SIGTERM"):
            search(experiment, tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert search(experiment, tmp_path / "there", resume=True) == whole
    for name in ("metrics.csv", "logits.csv"):
        assert (tmp_path / "there/search" / name).read_bytes() == (tmp_path / "whole/search" / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write here .*another --run"):
        search(Experiment.load(TINY), tmp_path / "file/run")


def test_too_little_gpu_memory_names_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    at_step(monkeypatch, 2, fail)
    with pytest.raises(RunError, match=r"step 3: out of GPU memory .*2\.00 GiB.*batch_size.*estimator: paired"):
        search(Experiment.load(TINY), tmp_path / "run")


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 2.00 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 2.00 GiB")],
    ids=["numpy", "torch"],
)
def test_too_little_memory_names_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    at_step(monkeypatch, 2, fail)
    with pytest.raises(RunError, match=r"step 3: out of memory .*2\.00 GiB.*data\.workers.*--resume"):
        search(Experiment.load(TINY), tmp_path / "run")


def test_a_killed_loader_process_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 1, lambda: [os.kill(child.pid, signal.SIGKILL) for child in multiprocessing.active_children()])
    with pytest.raises(DataError, match=r"a loader process died .*workers lower.*--resume"):
        retrain(Experiment.load(TINY, ["data.workers=1", "retrain.steps=50"]), BASELINE, tmp_path / "run")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder data set of 12 training images with one task, and an image that breaks once it has been checked."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 2)):
        for kind, shape, high in (("image", (64, 96, 3), 255), ("semseg", (64, 96), 3)):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, high, shape, np.uint8)).save(folder / f"{i:02d}.png")
    return tmp_path / "data"


def on_photographs(root: Path, *options: str) -> Experiment:
    data = f"data={{name: folder, options: {{root: {root}, classes: {{semseg: 3}}}}}}"
    return Experiment.load(TINY, ["tasks=[semseg]", data, "retrain.steps=6", *options])


def damage(photographs: Path, *names: str) -> None:
    for name in names:
        path = photographs / "train/image" / name
        path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_in_mid_run_is_named(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    at_step(monkeypatch, 0, lambda: damage(photographs, "05.png"))
    with pytest.raises(DataError) as caught:
        retrain(on_photographs(photographs, f"data.workers={workers}"), BASELINE, tmp_path / "run")
    assert "05.png" in str(caught.value) and "Traceback" not in str(caught.value)


def test_broken_images_are_skipped_on_request_within_a_bound(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 0, lambda: damage(photographs, "05.png", "06.png"))
        retrain(on_photographs(photographs, "data.on_corrupt=skip"), BASELINE, tmp_path / "run")
    assert "skipped: " in capsys.readouterr().err
    names = [f"{i:02d}.png" for i in range(12)]
    at_step(monkeypatch, 0, lambda: damage(photographs, *names))
    with pytest.raises(DataError, match="5 samples in a row cannot be read"):
        retrain(on_photographs(photographs, "data.on_corrupt=skip", "seed=1"), BASELINE, tmp_path / "again")


def test_a_stop_request_is_answered_while_the_data_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Prepared, "__getitem__", lambda self, key: time.sleep(600))
    stop = threading.Timer(8, lambda: os.kill(os.getpid(), signal.SIGTERM))
    stop.start()
    begun = time.monotonic()
    with pytest.raises(Stopped, match="stopped by SIGTERM after step 0, the state is saved"):
        retrain(Experiment.load(TINY, ["data.workers=1"]), BASELINE, tmp_path / "run")
    assert time.monotonic() - begun < 60
