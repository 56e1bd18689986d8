"""Masks of 0 and 255, class maps in colour, and class maps that JPEG has spoilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrcnas.data.folder import Folder, FolderOptions
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment
from tests.unit.data.files import expect_error, save

SHAPE = (6, 8)
TRUTH = np.zeros(SHAPE, np.uint8)
TRUTH[2:4, 3:6] = 1
SKY, ROAD, CAR, LINE = [128, 128, 128], [128, 64, 128], [64, 0, 128], [128, 0, 192]
COLOURS = {"sky": SKY, "road": [ROAD, LINE], "car": CAR, "void": [0, 0, 0]}


def write(root: Path, task: str, **masks: np.ndarray) -> None:
    """``train_a=...`` becomes train/TASK/a.png, with an image beside it; the other split gets the same as a stand-in."""
    for key, mask in masks.items():
        split, name = key.split("_")
        save(root / split / "image" / f"{name}.png", np.zeros((*mask.shape[:2], 3), np.uint8))
        save(root / split / task / f"{name}.png", mask)


def opened(root: Path, task: str, split: Any = "train", **options: Any) -> Folder:
    return Folder(FolderOptions(root=root, **options), split, [task])


@pytest.mark.parametrize("task", ["sal", "edge"])
def test_masks_of_0_and_255_are_read_as_two_classes(tmp_path: Path, task: str) -> None:
    write(tmp_path, task, train_a=255 * TRUTH, train_b=0 * TRUTH, val_a=255 * TRUTH)
    folder = opened(tmp_path, task)
    assert (folder[0].targets[task] == TRUTH).all()
    assert folder[0].valid[task].all()
    assert folder.stored == f"{task} holds 0 and 255 alone, so 255 is class 1"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_single_1_anywhere_in_the_data_set_makes_255_mean_missing(tmp_path: Path, split: str) -> None:
    """Also in files that hold no 1 themselves, and in the other split."""
    one = TRUTH.copy()
    masks = {"train_a": 255 * TRUTH, "val_a": 255 * TRUTH, f"{split}_b": one}
    write(tmp_path, "sal", **masks)
    for place in ("train", "val"):
        sample = opened(tmp_path, "sal", split=place)[0]
        assert (sample.valid["sal"] == (TRUTH == 0)).all()
        assert not sample.targets["sal"].any()
    assert opened(tmp_path, "sal").stored == "sal holds other numbers than 0 and 255, so 255 is missing"


def test_files_that_are_255_throughout_label_nothing(tmp_path: Path) -> None:
    write(tmp_path, "sal", train_a=np.full(SHAPE, 255, np.uint8), val_a=np.full(SHAPE, 255, np.uint8))
    assert not opened(tmp_path, "sal")[0].valid["sal"].any()


def test_what_the_experiment_says_goes_before_what_the_files_look_like(tmp_path: Path) -> None:
    write(tmp_path, "sal", train_a=255 * TRUTH, val_a=255 * TRUTH)
    folder = opened(tmp_path, "sal", values={"sal": {"missing": 255}})
    assert (folder[0].valid["sal"] == (TRUTH == 0)).all()
    assert folder.stored == ""


def test_of_many_classes_255_is_missing_whatever_the_files_hold(tmp_path: Path) -> None:
    write(tmp_path, "semseg", train_a=255 * TRUTH, val_a=255 * TRUTH)
    assert (opened(tmp_path, "semseg", classes={"semseg": 3})[0].valid["semseg"] == (TRUTH == 0)).all()
    two = opened(tmp_path, "semseg", classes={"semseg": 2})[0]
    assert (two.targets["semseg"] == TRUTH).all()


# Colours.


def coloured() -> np.ndarray:
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[0], picture[1], picture[2], picture[3] = SKY, ROAD, LINE, CAR
    return picture


def check_colours(folder: Folder) -> None:
    sample = folder[0]
    assert sample.targets["semseg"][:4, 0].tolist() == [0, 1, 1, 2]
    assert sample.valid["semseg"][:, 0].tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize("form", ["map", "lines.txt", "colours.csv", "colours.yaml"])
def test_colours_become_classes_from_a_map_or_a_file_of_the_data_set(tmp_path: Path, form: str) -> None:
    write(tmp_path, "semseg", train_a=coloured())
    lines = [("sky", SKY), ("road", ROAD), ("road", LINE), ("car", CAR), ("Void", [0, 0, 0])]
    (tmp_path / "lines.txt").write_text(
        "# R G B name\n" + "".join(f"{r} {g}\t{b} {name}\n" for name, (r, g, b) in lines)
    )
    (tmp_path / "colours.csv").write_text("".join(f"{r},{g},{b},{name}\n" for name, (r, g, b) in lines))
    (tmp_path / "colours.yaml").write_text("\n".join(f"{name}: {value}" for name, value in COLOURS.items()))
    given = COLOURS if form == "map" else form
    options = {"root": str(tmp_path), "values": {"semseg": {"colours": given}}}
    check_colours(opened(tmp_path, "semseg", values=options["values"]))
    task = Experiment.load({"tasks": ["semseg"], "data": {"name": "folder", "options": options}}).resolved_tasks()[
        "semseg"
    ]
    assert (task.channels, task.class_names) == (3, ("sky", "road", "car"))
    assert task.class_colours == (tuple(SKY), tuple(ROAD), tuple(CAR))


def test_the_file_of_colours_lies_in_the_data_folder_wherever_the_experiment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/colours.yaml").write_text("a: [0, 0, 0]\nb: [1, 1, 1]\n")
    options = "{root: mine, values: {semseg: {colours: colours.yaml}}}"
    (tmp_path / "own.yaml").write_text(f"tasks: [semseg]\ndata: {{name: folder, options: {options}}}\n")
    monkeypatch.chdir(tmp_path / "mine")
    assert Experiment.load(tmp_path / "own.yaml").resolved_tasks()["semseg"].class_names == ("a", "b")


def test_a_palette_picture_and_one_with_transparency_are_colours_too(tmp_path: Path) -> None:
    write(tmp_path, "semseg", train_a=coloured())
    path = tmp_path / "train/semseg/a.png"
    picture = Image.fromarray(coloured())
    for other in (picture.quantize(8), picture.convert("RGBA")):
        other.save(path)
        check_colours(opened(tmp_path, "semseg", values={"semseg": {"colours": COLOURS}}))


def test_a_colour_that_is_not_in_the_table_is_named(tmp_path: Path) -> None:
    picture = coloured()
    picture[5, 2:] = [9, 8, 7]
    write(tmp_path, "semseg", train_a=picture)
    folder = opened(tmp_path, "semseg", values={"semseg": {"colours": COLOURS}})
    expect_error(r"a\.png: expected one of the 5 colours of its table, got \[9, 8, 7\] \(6 pixels\)", lambda: folder[0])
    save(tmp_path / "train/semseg/a.png", TRUTH)
    expect_error(r"a\.png: expected colours of 8 bits.*Remove colours there", lambda: folder[0])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"colours": {"sky": SKY}}, "at least 2 classes, got 1"),
        ({"colours": {"sky": SKY, "road": SKY}}, "each colour once"),
        ({"colours": {"sky": SKY, "road": [0, 0, 256]}}, "colours.road"),
        ({"colours": {"sky": SKY, "road": "red"}}, "colours.road"),
        ({"colours": "nowhere.txt"}, "expected a table of colours at .*nowhere.txt.*relative to data.options.root"),
        ({"colours": COLOURS, "shift": 1}, "shift: has no effect.*Colours say it all"),
    ],
)
def test_a_table_of_colours_that_cannot_be_used_is_refused(tmp_path: Path, rule: dict[str, Any], message: str) -> None:
    write(tmp_path, "semseg", train_a=coloured())
    with pytest.raises(ConfigError, match=message):
        opened(tmp_path, "semseg", values={"semseg": rule})


def test_a_line_of_a_table_that_is_no_colour_is_named(tmp_path: Path) -> None:
    write(tmp_path, "semseg", train_a=coloured())
    (tmp_path / "c.txt").write_text("1 2 3 sky\nname,r,g,b\n")
    with pytest.raises(ConfigError, match=r"c\.txt: line 2: expected RED GREEN BLUE NAME"):
        opened(tmp_path, "semseg", values={"semseg": {"colours": "c.txt"}})


# JPEG.


def test_class_maps_in_jpeg_are_refused_with_the_reason_in_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 12, (24, 32), np.uint8).repeat(4, 0).repeat(4, 1)
    for number in range(7):
        save(tmp_path / "train/image" / f"{number}.png", np.zeros((*classes.shape, 3), np.uint8))
        save(tmp_path / "train/semseg" / f"{number}.jpg", classes, quality=75)
    spoilt = np.asarray(Image.open(tmp_path / "train/semseg/0.jpg")) != classes
    assert spoilt.mean() > 0.1, "what is refused does harm"
    message = expect_error("got JPEG: 0.jpg.* and 2 more", lambda: opened(tmp_path, "semseg", classes={"semseg": 12}))
    assert "changes classes" in message
    assert "PNG" in message
    assert len(message.splitlines()) == 1


def test_jpeg_under_another_name_is_refused_too_and_photographs_are_not(tmp_path: Path) -> None:
    write(tmp_path, "semseg", train_a=TRUTH)
    path = tmp_path / "train/semseg/a.png"
    with path.open("wb") as stream:
        Image.fromarray(TRUTH).save(stream, format="JPEG")
    save(tmp_path / "train/image/a.jpg", np.zeros((*SHAPE, 3), np.uint8))
    (tmp_path / "train/image/a.png").unlink()
    expect_error("got JPEG", lambda: opened(tmp_path, "semseg", classes={"semseg": 2})[0])
