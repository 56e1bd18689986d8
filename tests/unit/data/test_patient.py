"""A data folder that goes away and comes back; time passes only in these tests' own clock."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrcnas.data import patient
from atrcnas.data.caching import Cached
from atrcnas.data.folder import Folder, FolderOptions
from atrcnas.data.loading import _Prepared
from atrcnas.data.patient import read_patiently
from atrcnas.data.sample import Sample
from atrcnas.data.watched import polled
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import TASKS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for kind, shape in (("image", (8, 8, 3)), ("sal", (8, 8))):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for i in range(3):
                Image.fromarray(np.full(shape, i % 2, np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "data"


@pytest.fixture
def source(root: Path) -> Folder:
    return Folder(FolderOptions(root=root), "train", ["sal"])


class Clock:
    """Sleeps of no time; something happens after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.events = 0.0, dict[int, Callable[[], object]]()
        monkeypatch.setattr(patient.time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.events.pop(round(self.seconds), lambda: None)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("skip", [False, True], ids=["stop", "skip"])
@pytest.mark.parametrize("cached", [False, True])
def test_a_folder_that_comes_back_is_waited_for_and_gives_the_same_samples(
    root: Path, source: Folder, clock: Clock, capsys: pytest.CaptureFixture[str], skip: bool, cached: bool
) -> None:
    samples = _Prepared(
        Cached(source, 10**6) if cached else source, {"sal": TASKS["sal"]}, None, range(3) if skip else None
    )
    away = root.rename(root.with_name("away"))
    clock.events[7] = lambda: away.rename(root)
    assert samples[1, (0,)].sample.name == "1"
    assert clock.seconds == 7
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{root}/train/image: away" in said and "300 s" in said


def test_one_that_stays_away_is_a_message_that_names_it(root: Path, source: Folder, clock: Clock) -> None:
    root.rename(root.with_name("away"))
    with pytest.raises(DataError, match=rf"^{root}/train/image: away for 300 s .*--resume"):
        read_patiently(source, 0)
    assert clock.seconds == 300


def test_one_that_goes_again_is_waited_for_again(root: Path, source: Folder, clock: Clock) -> None:
    away, targets = root.rename(root.with_name("away")), root / "train/sal"

    def half_back() -> None:
        away.rename(root)
        targets.rename(root / "sal-away")

    clock.events |= {2: half_back, 5: lambda: (root / "sal-away").rename(targets)}
    assert read_patiently(source, 2).name == "2"
    assert clock.seconds == 5


def test_a_stop_request_is_answered_meanwhile(root: Path, source: Folder, clock: Clock) -> None:
    class Asked(Exception):
        pass

    def poll(waited: float) -> None:
        if waited == 3:
            raise Asked

    root.rename(root.with_name("away"))
    with polled(poll), pytest.raises(Asked):
        read_patiently(source, 0)


@pytest.mark.parametrize("break_", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_a_file_that_is_missing_or_damaged_in_a_folder_that_is_there_is_not_waited_for(
    root: Path, source: Folder, clock: Clock, break_: Callable[[Path], object]
) -> None:
    break_(root / "train/image/1.png")
    with pytest.raises(DataError, match=r"image/1\.png"):
        read_patiently(source, 1)
    assert clock.seconds == 0


def test_a_connection_lost_in_the_middle_of_a_file_is_tried_again(source: Folder) -> None:
    class Lost:
        failures = 2

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Sample:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EIO, "Input/output error")
            return source[index]

    assert read_patiently(Lost(), 1).name == "1"


def test_too_little_memory_is_no_damaged_sample(
    source: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Skipping it would go on with other samples."""

    def load(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(DataError, match=r"0\.png: too little memory.*data\.workers"):
        _Prepared(source, {"sal": TASKS["sal"]}, None, range(3))[0, (0,)]
    assert "skipped" not in capsys.readouterr().err
