"""Tasks that an experiment defines in YAML go through the whole job, and every file of the run knows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import yaml
from PIL import Image

from atrcnas.cli import app
from atrcnas.data.rooms import Rooms
from atrcnas.spec.losses import LOSSES

PLUGIN = '''"""A loss of one's own, in a file beside the experiment."""

from atrcnas.spec.losses import LOSSES, Loss

LOSSES.register(Loss("half_l1", "own_loss:half_l1"))


def half_l1(prediction, target, valid):
    from atrcnas.objectives.losses import l1

    return l1(prediction, target, valid) / 2
'''
CLASSES = len(Rooms.class_names["semseg"])
NAMES = [f"stuff {number}" for number in range(CLASSES)]
COLOURS = [[number, 9, 8] for number in range(CLASSES)]
EXPERIMENT = {
    "schema": 1,
    "name": "own",
    "plugins": ["own_loss.py"],
    "tasks": [
        {
            "name": "material",
            "like": "semseg",
            "class_names": NAMES,
            "class_colours": [[number, 9, 8] for number in range(CLASSES)],
        },
        {"name": "height", "like": "depth", "unit": "cm", "zoom": "none", "loss": "half_l1"},
        "sal",
    ],
    "task_options": {"material": {"weight": 2.0, "class_weights": "balanced", "miou_over": "all"}},
    "data": {"name": "folder", "options": {"root": "mine"}, "augment": None},
    "backbone": {"name": "atrcnas_small"},
    "model": {"width": 8},
    "space": {"schema": 1, "pairs": {"default": ["none", "local"]}},
    "search": {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1},
    "retrain": {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1},
    "devices": "cpu",
}


def write_data(root: Path) -> None:
    """Rooms under other names: semseg as material, depth as height, saliency as masks of 0 and 255."""
    options = Rooms.Options(image_size=(48, 64), train_size=6, val_size=2)
    for split, size in (("train", 6), ("val", 2)):
        rooms = Rooms(options, split, ["semseg", "depth", "sal"])  # type: ignore[arg-type]
        for folder in ("image", "material", "height", "sal"):
            (root / split / folder).mkdir(parents=True)
        for index in range(size):
            sample = rooms[index]
            Image.fromarray(sample.image).save(root / split / "image" / f"{index}.png")
            Image.fromarray(sample.targets["semseg"].astype(np.uint8)).save(root / split / "material" / f"{index}.png")
            np.save(root / split / "height" / f"{index}.npy", sample.targets["depth"])
            Image.fromarray((255 * sample.targets["sal"]).astype(np.uint8)).save(root / split / "sal" / f"{index}.png")


def forget_plugin() -> None:
    """As if this process had not begun."""
    sys.modules.pop("own_loss", None)
    LOSSES._records.pop("half_l1", None)


def atrcnas(*arguments: str) -> None:
    """A command as in a process of its own."""
    forget_plugin()
    app(list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the whole job has been done, from another folder than that of the experiment file."""
    folder = tmp_path_factory.mktemp("own")
    write_data(folder / "mine")
    (folder / "setup").mkdir()
    (folder / "setup" / "own_loss.py").write_text(PLUGIN)
    (folder / "setup" / "own.yaml").write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        atrcnas("data", "check", "setup/own.yaml", f"data.options.root={folder / 'mine'}")
        atrcnas("run", "setup/own.yaml", f"data.options.root={folder / 'mine'}")
        atrcnas("run", "runs/own/experiment.yaml", "--resume")
        atrcnas("evaluate", "runs/own")
        atrcnas("plot", "runs/own")
        atrcnas("predict", "runs/own", "mine/val/image/0.png", "--out", "predicted")
    yield folder
    forget_plugin()


def test_the_run_stores_what_the_tasks_are_and_its_contexts_name_them(folder: Path) -> None:
    stored = yaml.safe_load((folder / "runs/own/experiment.yaml").read_text())
    assert stored["tasks"][:2] == EXPERIMENT["tasks"][:2]
    assert stored["plugins"] == [str(folder / "setup/own_loss.py")]
    assert yaml.safe_load((folder / "runs/own/contexts.yaml").read_text())["tasks"] == ["material", "height", "sal"]


def test_results_have_scores_of_every_task_and_every_class_by_name(folder: Path) -> None:
    results = json.loads((folder / "runs/own/results.json").read_text())
    assert set(results["scores"]) == {"material", "height", "sal"}
    classes = results["classes"]["material"]
    assert [entry["name"] for entry in classes] == NAMES
    there = [entry for entry in classes if entry["pixels"]]
    assert sum(entry["pixels"] for entry in there) == 2 * 48 * 64
    assert all((entry["iou"] is None) == (entry["pixels"] == 0) for entry in classes)
    # miou_over: all. The confusion table says the same, counted anew.
    assert results["scores"]["material"]["miou"] == pytest.approx(
        sum(entry["iou"] for entry in there) / CLASSES, abs=1e-5
    )
    pairs = pd.read_csv(folder / "runs/own/confusion.csv").query("task == 'material'")
    right = pairs.query("truth == prediction")["pixels"].sum()
    assert right / pairs["pixels"].sum() == pytest.approx(results["scores"]["material"]["pixel_accuracy"])


def test_the_figures_are_drawn(folder: Path) -> None:
    drawn = {path.stem for path in (folder / "runs/own/plots").glob("*.png")}
    assert {"contexts", "probabilities", "losses", "scores", "gallery", "confusion_material"} <= drawn


def test_pictures_of_new_images_are_in_the_colours_that_were_given(folder: Path) -> None:
    picture = np.asarray(Image.open(folder / "predicted/0.material.png").convert("RGB"))
    assert {tuple(colour) for colour in picture.reshape(-1, 3).tolist()} <= {tuple(colour) for colour in COLOURS}
    assert (folder / "predicted/0.height.png").is_file()


def test_the_exported_file_says_classes_colours_and_how_to_decode(folder: Path) -> None:
    session = onnxruntime.InferenceSession(folder / "runs/own/deploy/model.onnx")
    said = json.loads(session.get_modelmeta().custom_metadata_map["atrcnas"])
    assert said["tasks"]["material"]["class_names"] == NAMES
    assert said["colours"]["material"] == COLOURS
    assert said["tasks"]["height"]["unit"] == "cm"
    assert "largest channel" in said["decoding"]["material"]
    assert set(said["decoding"]) == {"material", "height", "sal"}
    assert "bilinear" in said["resize"]["image"]
