"""Deploying a run: scores of exported files beside those of the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_networks import BACKBONE, randomised

from atrcnas import Predictor, evaluate
from atrcnas.data.loading import open_source
from atrcnas.deploy.job import deploy_run
from atrcnas.deploy.scoring import calibration_images, score
from atrcnas.engine.checkpoints import save_weights
from atrcnas.engine.networks import fixed_network
from atrcnas.engine.splits import open_splits
from atrcnas.ground.files import write_yaml
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

ROOMS = {"name": "rooms", "options": {"image_size": [40, 56], "train_size": 12, "val_size": 3}}
TINY = {"tasks": ["semseg", "depth"], "backbone": {"name": BACKBONE}, "model": {"width": 8}, "data": ROOMS}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network has been scored."""
    experiment, contexts = Experiment.load(TINY), ContextConfig.load("uniform-local")
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    write_yaml(folder.experiment, experiment.dump())
    contexts.save(folder.contexts)
    save_weights(randomised(fixed_network(experiment, contexts)), folder.weights)
    evaluate(folder.root)
    return folder.root


def test_each_file_is_scored_and_timed_beside_the_network(run: Path, tmp_path: Path) -> None:
    lines = deploy_run(run, [tmp_path / "net.onnx", tmp_path / "net.int8.onnx"], scored=True)
    results = json.loads((run / "results.json").read_text())
    files = results["deployed"]
    assert {runtime: record["file"] for runtime, record in files.items()} == {
        "onnxruntime": "net.onnx",
        "onnxruntime int8": "net.int8.onnx",
    }
    for task, figures in results["scores"].items():
        for figure, value in figures.items():
            assert files["onnxruntime"]["scores"][task][figure] == pytest.approx(value, abs=1e-3)
            assert files["onnxruntime int8"]["scores"][task][figure] == pytest.approx(value, rel=0.3, abs=0.1)
    assert files["onnxruntime int8"]["scores"] != files["onnxruntime"]["scores"]
    assert set(results["costs"]["latency_ms_deployed"]) == set(files)
    head, *rows = lines[-4:]
    assert head.split()[-4:] == ["semseg", "miou", "depth", "rmse"]
    assert [row.split()[0] for row in rows] == ["the", "net.onnx", "net.int8.onnx"]
    assert evaluate(run)["deployed"] == files, "the weights are the same"


def test_a_perfect_predictor_has_perfect_scores() -> None:
    """The truth is found again by the image; predictions are of another size than the images of the data set."""
    experiment = Experiment.load({**TINY, "data": {**ROOMS, "pad_to": [64, 64]}})
    source, tasks = open_source(experiment, "val"), experiment.predicted_tasks()
    truth = {sample.image.tobytes(): sample.targets for sample in (source[index] for index in range(len(source)))}

    def run(image: torch.Tensor) -> dict[str, torch.Tensor]:
        pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
        found = truth[np.ascontiguousarray(pixels).tobytes()]
        classes = torch.nn.functional.one_hot(torch.from_numpy(found["semseg"]), tasks["semseg"].num_channels)
        depth = torch.from_numpy(found["depth"])[None, None]
        return {"semseg": classes.permute(2, 0, 1)[None].float(), "depth": depth}

    scores = score(Predictor(tasks, run), experiment)
    assert scores["semseg"]["pixel_accuracy"] == 1
    assert scores["depth"]["rmse"] == pytest.approx(0, abs=1e-6)


def test_ranges_are_measured_on_images_the_weights_were_trained_on() -> None:
    experiment = Experiment.load(TINY)
    images, splits = calibration_images(experiment, (40, 56)), open_splits(experiment)
    assert images.shape == (len(splits.weights), 3, 40, 56)
    expected = splits.train[splits.weights[0]].image
    assert np.array_equal((images[0].permute(1, 2, 0) * 255).round().byte().numpy(), expected)
    assert calibration_images(experiment, (20, 28)).shape[2:] == (20, 28)
