"""What is not a regular file is refused at once, wherever a file from outside is read."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atrcnas.data.matlab import read_variable
from atrcnas.data.rasters import read_array, read_image, read_size
from atrcnas.data.unpack import unpack
from atrcnas.deploy.loading import load_exported
from atrcnas.engine.checkpoints import read_checkpoint, read_weights
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import read_yaml
from atrcnas.ground.opening import open_regular, read_regular
from atrcnas.plots.samples import read_sample
from atrcnas.runs.results import read_results
from atrcnas.runs.tables import read_metrics
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.sweep import SweepSpec

pytestmark = pytest.mark.timeout(5, func_only=True)  # a reader that waits for a pipe's writer would wait for ever

READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "yaml": ("f.yaml", read_yaml),
    "experiment": ("f.yaml", Experiment.load),
    "sweep": ("f.yaml", SweepSpec.load),
    "contexts": ("f.yaml", ContextConfig.load),
    "reference contexts": ("f.json", ContextConfig.load),
    "image": ("f.png", read_image),
    "image size": ("f.png", read_size),
    "target": ("f.png", read_array),
    "npy": ("f.npy", read_array),
    "mat": ("f.mat", lambda path: read_variable(path, "x")),
    "archive": ("f.tgz", lambda path: unpack(path, path.parent / "root")),
    "checkpoint": ("f.ckpt", read_checkpoint),
    "weights": ("f.safetensors", read_weights),
    "onnx": ("f.onnx", load_exported),
    "pt2": ("f.pt2", load_exported),
    "results": ("results.json", lambda path: read_results(path.parent)),
    "table": ("f.csv", read_metrics),
    "sample": ("f.npz", read_sample),
}


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A reader that reads a device to its end fails the test and not the machine."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (8 * 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, device])
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_and_a_device_are_refused_with_a_message(
    reader: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    name, read = READERS[reader]
    make(tmp_path / name)
    with pytest.raises(AtrcnasError, match=name.replace(".", r"\.")):
        read(tmp_path / name)


@pytest.mark.parametrize("make", [pipe, device, Path.mkdir])
def test_the_reason_says_what_it_is(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "f")
    with pytest.raises(OSError, match=r"pipe|device|something else|directory"):
        open_regular(tmp_path / "f")


def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert read_regular(tmp_path / "f", 5) == b"12345" == read_regular(tmp_path / "link", 5)
    with pytest.raises(OSError, match="at most 4 bytes, got 5"):
        read_regular(tmp_path / "f", 4)
