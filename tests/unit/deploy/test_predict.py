from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import BACKBONE, records

from atrcnas.deploy.predict import Predictor, predict_images
from atrcnas.engine.checkpoints import save_weights
from atrcnas.engine.networks import fixed_network
from atrcnas.ground.errors import DataError
from atrcnas.ground.files import write_yaml
from atrcnas.ground.registry import resolve
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.experiment import Experiment

TASKS = ("semseg", "depth", "normals", "sal", "edge")


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _stub(size: tuple[int, int] | None = None) -> Predictor:
    """Raw outputs that are copies of the image's channels."""
    tasks = records(*TASKS)

    def run(image: torch.Tensor) -> dict[str, torch.Tensor]:
        assert size is None or tuple(image.shape[-2:]) == size
        return {name: image[:, torch.arange(task.num_channels) % 3] - 0.5 for name, task in tasks.items()}

    return Predictor(tasks, run, size)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_predicts_what_the_network_does(exported, suffix: str) -> None:
    case = exported("mixed", suffix)
    predictor, image = Predictor.from_file(case.report.path), _image(*case.size)
    got = predictor(image)
    with torch.no_grad():
        raw = case.net(torch.from_numpy(image).permute(2, 0, 1)[None]).predictions
    assert got.keys() == raw.keys()
    semseg, normals = (resolve(DECODERS[predictor.tasks[name].decode].function)(raw[name])[0].numpy() for name in raw)
    assert (got["semseg"] == semseg).mean() > 0.999
    assert np.abs(got["normals"] - normals.transpose(1, 2, 0)).max() < 1e-3


def test_a_run_predicts_what_its_network_does_at_any_size(tmp_path: Path) -> None:
    settings = {"tasks": ["semseg", "depth"], "backbone": {"name": BACKBONE}, "model": {"width": 8}}
    experiment, contexts = Experiment.load(settings), ContextConfig.load("uniform-local")
    net = fixed_network(experiment, contexts).eval()
    folder = RunFolder(tmp_path)
    write_yaml(folder.experiment, experiment.dump())
    contexts.save(folder.contexts)
    save_weights(net, folder.weights)
    predictor = Predictor.from_run(tmp_path)
    for size in ((40, 50), (64, 32)):
        image = _image(*size)
        with torch.no_grad():
            raw = net(torch.from_numpy(image).permute(2, 0, 1)[None]).predictions
        got = predictor(image)
        assert np.array_equal(got["semseg"], raw["semseg"][0].argmax(0).numpy())
        assert np.array_equal(got["depth"], raw["depth"][0, 0].clamp(min=0).numpy())


@pytest.mark.parametrize("size", [None, (20, 30), (37, 23)])
def test_predictions_are_decoded_at_the_image_size(size: tuple[int, int] | None) -> None:
    got = _stub(size)(_image(37, 23))
    assert {name: array.shape for name, array in got.items()} == {
        name: (37, 23, 3) if name == "normals" else (37, 23) for name in TASKS
    }
    assert got["semseg"].dtype == np.int64
    assert got["depth"].min() >= 0
    assert np.allclose(np.linalg.norm(got["normals"], axis=2), 1, atol=1e-5)
    assert got["edge"].min() >= 0 and got["edge"].max() <= 1


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_not_an_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8"):
        _stub()(bad)


def test_each_image_gives_its_arrays_and_a_picture_per_task(tmp_path: Path) -> None:
    images = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for image in images:
        Image.fromarray(_image(20, 30)).save(image)
    written = predict_images(_stub(), images, tmp_path / "new" / "out")
    names = [f"{stem}.{end}" for stem in "ab" for end in ("npz", *(f"{task}.png" for task in TASKS))]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(names)
    expected = _stub()(_image(20, 30))
    with np.load(written[0]) as arrays:
        assert all(np.array_equal(arrays[name], array) for name, array in expected.items())
    assert all(Image.open(path).size == (30, 20) for path in written if path.suffix == ".png")


def test_an_unreadable_image_is_named_before_anything_is_written(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(_image(20, 30)).save(good)
    bad.write_text("no image")
    with pytest.raises(DataError, match=r"b\.png"):
        predict_images(_stub(), [good, bad], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_images_of_one_name_are_both_named(tmp_path: Path) -> None:
    images = [tmp_path / "left" / "a.png", tmp_path / "right" / "a.jpg"]
    with pytest.raises(DataError, match=r"right/a\.jpg.*left/a\.png"):
        predict_images(_stub(), images, tmp_path / "out")
