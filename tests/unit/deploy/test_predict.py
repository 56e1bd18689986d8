from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import BACKBONE, randomised, records

from atrcnas import Predictor
from atrcnas.deploy.export import export
from atrcnas.deploy.predict import predict_images
from atrcnas.engine.checkpoints import save_weights
from atrcnas.engine.networks import fixed_network
from atrcnas.ground.errors import ConfigError, DataError, ExportError
from atrcnas.ground.files import write_yaml
from atrcnas.ground.registry import resolve
from atrcnas.nn.net import MultiTaskNet
from atrcnas.plots.colourise import colourise
from atrcnas.plots.legend import draw_legend
from atrcnas.plots.palette import palette
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import write_results
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


def _run(folder: Path, data: dict[str, object] | None = None) -> MultiTaskNet:
    """The files of a retrained run, and its network."""
    settings = {"tasks": ["semseg", "depth"], "backbone": {"name": BACKBONE}, "model": {"width": 8}}
    experiment = Experiment.load({**settings, **({"data": data} if data else {})})
    contexts = ContextConfig.load("uniform-local")
    net = randomised(fixed_network(experiment, contexts))
    run = RunFolder(folder)
    write_yaml(run.experiment, experiment.dump())
    contexts.save(run.contexts)
    save_weights(net, run.weights)
    return net


def test_a_run_predicts_what_its_network_does_at_the_size_asked_for(tmp_path: Path) -> None:
    net = _run(tmp_path)
    for size in ((40, 50), (64, 32)):
        image = _image(*size)
        with torch.no_grad():
            raw = net(torch.from_numpy(image).permute(2, 0, 1)[None]).predictions
        got = Predictor.from_run(tmp_path, size)(image)
        assert np.array_equal(got["semseg"], raw["semseg"][0].argmax(0).numpy())
        assert np.array_equal(got["depth"], raw["depth"][0, 0].clamp(min=0).numpy())


def test_a_large_photograph_gives_what_the_runs_own_exported_file_gives(tmp_path: Path) -> None:
    """At the size of validation, which the data set sets, without being told."""
    rooms = {"name": "rooms", "options": {"image_size": [48, 64]}}
    export(_run(tmp_path, rooms), (48, 64), tmp_path / "model.onnx")
    photo = _image(190, 270)
    run, file = (Predictor.open(source) for source in (tmp_path, tmp_path / "model.onnx"))
    assert run(photo)["semseg"].shape == (190, 270)
    assert (run(photo)["semseg"] == file(photo)["semseg"]).mean() > 0.999
    for task, expected in file.raw(photo).items():
        assert (run.raw(photo)[task] - expected).abs().max() < 1e-4 * (expected.max() - expected.min())


def test_where_validation_does_not_resize_a_photograph_keeps_its_shape_and_is_made_no_larger(tmp_path: Path) -> None:
    _run(tmp_path, {"name": "folder", "options": {"root": "nowhere", "classes": {"semseg": 3}}})
    latency = {"median": 1.0, "threads": 1, "device": "cpu"}
    costs = {"image_size": [60, 80], "parameters": 1, "multiply_adds": 1, "latency_ms": latency}
    write_results(tmp_path / "results.json", {"scores": {}, "costs": costs})
    predictor, seen = Predictor.from_run(tmp_path), []
    plain = predictor.run
    predictor.run = lambda image: seen.append(tuple(image.shape[-2:])) or plain(image)
    for size in ((240, 320), (320, 240), (30, 40)):
        assert predictor(_image(*size))["depth"].shape == size
    assert seen == [(60, 80), (80, 60), (30, 40)]


def test_a_size_or_device_that_cannot_be_is_refused(tmp_path: Path, exported) -> None:
    _run(tmp_path)
    with pytest.raises(ConfigError, match=r"device: .*'tpu'"):
        Predictor.from_run(tmp_path, device="tpu")
    with pytest.raises(ConfigError, match=r"size: .*0 x 4"):
        Predictor.from_run(tmp_path, (0, 4))
    path = exported("mixed", ".onnx").report.path
    with pytest.raises(ExportError, match="size: expected 51 x 70"):
        Predictor.open(path, (64, 64))
    with pytest.raises(ExportError, match=r"device: .*'cuda'"):
        Predictor.open(path, device="cuda")


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
    names = [f"{stem}.{end}" for stem in "ab" for end in ("npz", *(f"{task}.png" for task in TASKS))] + ["legend.png"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(names)
    expected = _stub()(_image(20, 30))
    with np.load(written[0]) as arrays:
        assert all(np.array_equal(arrays[name], array) for name, array in expected.items())
    assert all(Image.open(path).size == (30, 20) for path in written[:-1] if path.suffix == ".png")


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


def test_a_folder_stands_for_its_images_in_order_of_their_names(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("b.png", "a.jpg", ".hidden.png"):
        Image.fromarray(_image(20, 30)).save(photos / name)
    (photos / "notes.txt").write_text("no image")
    written = predict_images(_stub(), [photos], tmp_path / "out")
    assert [path.name for path in written if path.suffix == ".npz"] == ["a.npz", "b.npz"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder with images"):
        predict_images(_stub(), [tmp_path], tmp_path / "out")


def test_a_class_picture_holds_the_class_numbers_and_shows_their_colours(tmp_path: Path) -> None:
    predictor = _stub()
    task = replace(predictor.tasks["semseg"], class_colours=((1, 2, 3), (250, 0, 0)))
    predictor.tasks["semseg"] = task
    Image.fromarray(_image(20, 30)).save(tmp_path / "a.png")
    predict_images(predictor, [tmp_path / "a.png"], tmp_path)
    with Image.open(tmp_path / "a.semseg.png") as picture, np.load(tmp_path / "a.npz") as arrays:
        assert picture.mode == "P"
        assert np.array_equal(np.array(picture), arrays["semseg"])
        seen = np.array(picture.convert("RGB"))
        assert np.array_equal(seen, colourise(task, arrays["semseg"]))
        expected = np.array([(1, 2, 3), (250, 0, 0), *palette(15)[2:]], np.uint8)
        assert np.array_equal(seen, expected[arrays["semseg"]])


def test_the_legend_names_the_classes_of_each_class_task() -> None:
    tasks = records("semseg", "depth")
    named = replace(tasks["semseg"], channels=3, class_names=("wall", "$\\frac", "a very long name of some class"))
    figure = draw_legend([named, tasks["depth"]])
    assert figure is not None
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["0 wall", "1 $\\frac", "2 a very long name of some…"]
    figure.canvas.draw()  # a name is text, never a formula
    assert draw_legend([tasks["depth"]]) is None


def test_a_bar_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    Image.fromarray(_image(20, 30)).save(tmp_path / "a.png")
    predict_images(_stub(), [tmp_path / "a.png"], tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    predict_images(_stub(), [tmp_path / "a.png"], tmp_path)
    assert "predicting" in capsys.readouterr().err
