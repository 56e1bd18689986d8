"""`atrcnas init` on folders as people have them; what it writes is searched on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml

from atrcnas import Experiment
from atrcnas.data.label_numbers import LabelNumbers
from atrcnas.proposal import ON_CPU, ON_GPU, Data, Seen, proposal
from tests.e2e.test_command_line import atrcnas, refused
from tests.unit.data.files import save


def picture(folder: Path, name: str, size: tuple[int, int], classes: list[int], suffix: str = "") -> None:
    """An image, a label map with these numbers in stripes, and a depth map in millimetres."""
    stripes = np.resize(np.array(classes, np.uint8).repeat(8), size[1])[None].repeat(size[0], 0)
    save(folder / f"photos/{name}.jpg", stripes[..., None].repeat(3, 2))
    save(folder / f"masks/{name}{suffix}.png", stripes)
    save(folder / f"depth/{name}.png", (1000 + 7 * stripes.astype(np.uint16)))


@pytest.fixture
def undivided(tmp_path: Path) -> Path:
    for number in range(6):
        picture(tmp_path / "mine", f"a{number}", (96 if number == 3 else 64, 96), [0, 255], "_mask")
    save(tmp_path / "mine/photos/without.jpg", np.zeros((64, 96, 3), np.uint8))
    (tmp_path / "mine/stuff").mkdir()
    return tmp_path


def written(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_photos_and_masks_become_an_experiment_that_is_searched(undivided: Path) -> None:
    done = atrcnas(undivided, "init", "mine")
    assert done.returncode == 0, done.stderr
    for said in (
        "mine: images and semseg, depth (undivided)",
        "left out: mine/stuff",
        "linked into mine-data, nothing was copied or moved: 5 images to train, 1 images to val",
        "experiment: mine.yaml",
        "  atrcnas data check mine.yaml",
        "  atrcnas run mine.yaml",
    ):
        assert said in done.stdout
    value = written(undivided / "mine.yaml")
    assert value["tasks"] == ["semseg", "depth"] and value["data"]["options"]["classes"] == {"semseg": 2}
    assert value["data"]["options"]["root"] == "mine-data", "beside the file, so that both can be moved"
    assert value["data"]["options"]["image_size"] == [64, 96], "images of two sizes are brought to one"
    assert value["backbone"]["weights"] == "none", "nothing is downloaded unasked"
    checked = atrcnas(undivided, "data", "check", "mine.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "semseg: missing 0.00%, classes 0 " in checked.stdout and "1 to 2.785 m" in checked.stdout
    small = ["search.steps=2", "search.batch_size=2", "search.validate_every=2", "data.workers=0"]
    searched = atrcnas(undivided, "search", "mine.yaml", *small)
    assert searched.returncode == 0, searched.stderr


def test_a_folder_in_the_layout_of_the_data_set_is_taken_as_it_is(tmp_path: Path) -> None:
    for split, number in (("train", 4), ("valid", 2)):
        for name in range(number):
            home = tmp_path / "set" / split
            picture(home, str(name), (64, 96), [0, 1, 4, 255])
        (home / "photos").rename(home / "image")
        (home / "masks").rename(home / "semseg")
    done = atrcnas(tmp_path, "init", "set", "--out", "first try.yaml", "--pretrained")
    assert done.returncode == 0, done.stderr
    options = written(tmp_path / "first try.yaml")["data"]["options"]
    assert options == {
        "root": "set",
        "val_split": "valid",
        "classes": {"semseg": 5},
        "values": {"depth": {"scale": 0.001, "missing": 0}},
    }
    loaded = Experiment.load(tmp_path / "first try.yaml")
    assert (loaded.name, loaded.backbone.weights) == ("first-try", "hub")
    assert not (tmp_path / "first try-data").exists()


def test_nothing_is_overwritten_unasked(undivided: Path) -> None:
    (undivided / "mine.yaml").write_text("mine")
    assert "Choose another --out" in refused(undivided, "init", "mine")
    assert (undivided / "mine.yaml").read_text() == "mine"
    (undivided / "other-data").mkdir()
    assert "other-data: expected no such folder yet" in refused(undivided, "init", "mine", "--out", "other.yaml")
    assert not (undivided / "other.yaml").exists()


def test_on_a_terminal_what_names_do_not_say_is_asked(undivided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (undivided / "mine/masks").rename(undivided / "mine/stuff2")
    (undivided / "mine.yaml").write_text("mine")
    asked: list[str] = []

    def prompt(text: str, **_: Any) -> str:
        asked.append(text)
        return ("what?", "sal")[sum("stuff2" in other for other in asked) - 1] if "stuff2" in text else "-"

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text) or "Replace" in text)
    monkeypatch.setattr("atrcnas.init_job._on_terminal", lambda: True)
    done = atrcnas(undivided, "init", "mine")
    assert done.returncode == 0, done.stderr
    assert "mine.yaml is there already. Replace it?" in asked[0]
    assert sum("What is in mine/stuff2?" in text for text in asked) == 2, "asked again after an answer that is none"
    value = written(undivided / "mine.yaml")
    assert value["tasks"] == ["depth", "sal"] and value["data"]["options"]["values"]["sal"]["missing"] == -1
    assert value["backbone"]["weights"] == "none", "as answered"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (["photos"], "got no label maps (folders: photos)"),
        (["masks"], "got no images"),
        ([], "got no images (folders: none)"),
        (None, "got nothing there"),
    ],
)
def test_what_is_no_data_is_told_what_is_expected(tmp_path: Path, made: list[str] | None, said: str) -> None:
    for name in made or ():
        (tmp_path / "mine" / name).mkdir(parents=True)
    if made == []:
        (tmp_path / "mine").mkdir()
    assert said in refused(tmp_path, "init", "mine")


def test_more_classes_than_a_task_has_are_refused(undivided: Path) -> None:
    (undivided / "mine/masks").rename(undivided / "mine/sal")
    for number in range(6):
        save(undivided / f"mine/sal/a{number}_mask.png", np.full((64, 96), number % 3, np.uint8))
    assert "sal: expected classes 0 to 1, got 2" in refused(undivided, "init", "mine")


def test_one_class_alone_is_refused(undivided: Path) -> None:
    for path in (undivided / "mine/masks").iterdir():
        save(path, np.zeros((64, 96), np.uint8))
    assert "semseg: expected at least two classes, got the numbers [0]" in refused(undivided, "init", "mine")


def test_colour_masks_are_refused_by_name(undivided: Path) -> None:
    for path in (undivided / "mine/masks").iterdir():
        save(path, np.zeros((64, 96, 3), np.uint8))
    assert "semseg: expected one class number per pixel, got 3 channels" in refused(undivided, "init", "mine")
    assert [path.name for path in undivided.iterdir()] == ["mine"], "nothing is left behind"


@pytest.mark.parametrize(("num_train", "steps", "passes"), [(10, 200, 160), (400, 1000, 20), (100_000, 1000, 0)])
def test_steps_fit_the_number_of_images(num_train: int, steps: int, passes: int) -> None:
    numbers = LabelNumbers(frozenset({0, 1, 2}), 0, 2, True, 1)
    data = Data("data", {"train": "train", "val": "val"}, num_train)
    seen = Seen((720, 1280), True, {"semseg": numbers})
    text = proposal("mine", data, seen, ON_CPU, "none")
    experiment = Experiment.load(yaml.safe_load(text))
    assert (experiment.search.steps, experiment.retrain.steps) == (steps, 2 * steps)
    assert f"are {passes} passes over the training images; published networks took 40,000 steps" in text
    assert experiment.data.options["image_size"] == [128, 256], "what a CPU can do"
    on_gpu = Experiment.load(yaml.safe_load(proposal("mine", data, seen, ON_GPU, "hub")))
    assert on_gpu.data.options["image_size"] == [352, 640]
    assert on_gpu.search.steps == min(max(round(50 * num_train / 8, -2), 1000), 20_000)
