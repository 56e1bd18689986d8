"""`atrcnas data prepare` and `atrcnas data check` as a person meets them."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.dataset_files import write_folder, write_nyud
from atrcnas.data import prepare as preparing
from atrcnas.data.nyud import Nyud
from atrcnas.data.rooms import Rooms
from atrcnas.data_job import check_lines
from atrcnas.ground.errors import DataError
from atrcnas.spec.bundled import find
from atrcnas.spec.experiment import Experiment
from tests.e2e.test_command_line import atrcnas, refused
from tests.unit.data.files import save

COUNTS = {"train": 3, "val": 2}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small NYUD_MT.tgz, and an experiment on what it is to be unpacked into."""
    options = Rooms.Options(image_size=(32, 40), train_size=COUNTS["train"], val_size=COUNTS["val"])
    for split in ("train", "val"):
        write_nyud(Rooms(options, split, Nyud.layout.tasks), tmp_path / "tree", split)  # type: ignore[arg-type]
    with tarfile.open(tmp_path / "NYUD_MT.tgz", "w:gz") as content:
        content.add(tmp_path / "tree/NYUD_MT", "NYUD_MT")
    known = {name: (source, COUNTS) for name, (source, _) in preparing._KNOWN.items()}
    monkeypatch.setattr(preparing, "_KNOWN", known)
    data = {"name": "nyud", "options": {"root": "data/nyud"}}
    (tmp_path / "nyud.yaml").write_text(yaml.safe_dump({"tasks": list(Nyud.layout.tasks), "data": data}))
    return tmp_path


def test_prepare_then_check(home: Path) -> None:
    advice = refused(home, "data", "check", "nyud.yaml")
    command = re.search(r"`atrcnas (data prepare nyud --archive FILE --root data/nyud)`", advice)
    assert command is not None, advice
    done = atrcnas(home, *command[1].replace("FILE", "NYUD_MT.tgz").split())
    assert done.returncode == 0, done.stderr
    assert "samples: 3 train, 2 val" in done.stdout
    layout = "NYUD_MT: images/*.jpg, segmentation/*.png, depth/*.npy, normals/*.npy, edge/*.npy"
    assert f"layout: {layout}\nimages: 32 x 40\n" in done.stdout
    assert "warning: published figures are for images of 425 x 560" in done.stdout
    written = yaml.safe_load(done.stdout.splitlines()[-1])
    assert written == {"data": {"name": "nyud", "options": {"root": "data/nyud"}}}
    checked = atrcnas(home, "data", "check", "nyud.yaml")
    assert checked.returncode == 0, checked.stderr
    assert f"train: 3 samples, 0 problems\n  images: 32 x 40, layout: {layout}\n" in checked.stdout
    assert re.search(r"depth: missing 0\.00%, [\d.]+ to [\d.]+ m\n", checked.stdout)
    assert "normals: missing 0.00%, lengths 1.0000 to 1.0000" in checked.stdout
    assert re.search(r"warning: semseg: never occurs here: .*39 other_prop", checked.stdout)
    assert "never occurs" not in re.sub("warning: semseg.*", "", checked.stdout)


def test_check_names_every_damaged_file_of_both_splits_and_ends_with_status_2(home: Path) -> None:
    atrcnas(home, "data", "prepare", "nyud", "--archive", "NYUD_MT.tgz", "--root", "data/nyud")
    root = home / "data/nyud/NYUD_MT"
    ids = {split: (root / f"gt_sets/{split}.txt").read_text().split() for split in ("train", "val")}
    damaged = [f"depth/{ids['train'][1]}.npy", f"segmentation/{ids['train'][2]}.png", f"normals/{ids['val'][0]}.npy"]
    for name in damaged:
        (root / name).write_bytes(b"damaged")
    message = refused(home, "data", "check", "nyud.yaml")
    assert message.startswith("error: data 'nyud': 3 problems")
    for name in damaged:
        assert message.count(name) == 1


def test_the_older_archive_is_prepared_by_the_recipes_own_command_and_named(home: Path) -> None:
    options = Rooms.Options(image_size=(32, 40), train_size=COUNTS["train"], val_size=COUNTS["val"])
    for split in ("train", "val"):
        write_nyud(Rooms(options, split, Nyud.layout.tasks), home / "older", split, older=True)  # type: ignore[arg-type]
    recipe = find("nyud-hrnet18", "experiments", "experiment").read_text(encoding="utf-8")
    command = re.search(r"# atrcnas (data prepare nyud --archive (\S+) --root \S+)", recipe)
    assert command is not None
    with tarfile.open(home / command[2], "w:gz") as content:
        content.add(home / "older/NYUDv2", "NYUDv2")
    done = atrcnas(home, *command[1].split())
    assert done.returncode == 0, done.stderr
    assert "layout: NYUDv2: images/*.png, segmentation/*.png, depth/*.npy, normals/*.png, edge/*.png" in done.stdout
    checked = atrcnas(home, "data", "check", "nyud-hrnet18")
    assert checked.returncode == 0, checked.stderr
    assert "layout: NYUDv2" in checked.stdout


def test_check_tells_the_labelled_share_of_partly_labelled_data(home: Path) -> None:
    options = Rooms.Options(image_size=(32, 40), train_size=4, val_size=2)
    for split in ("train", "val"):
        write_folder(Rooms(options, split, ("semseg", "depth")), home / "own", split)  # type: ignore[arg-type]
    sorted((home / "own/train/depth").iterdir())[0].unlink()
    data = {"name": "folder", "options": {"root": "own", "classes": {"semseg": 15}}}
    (home / "own.yaml").write_text(yaml.safe_dump({"tasks": ["semseg", "depth"], "data": data}))
    assert "train/depth: expected a file for each of 4 images" in refused(home, "data", "check", "own.yaml")
    done = atrcnas(home, "data", "check", "own.yaml", "data.options.partial=[depth]")
    assert done.returncode == 0, done.stderr
    train = done.stdout.partition("val: ")[0]
    assert re.search(r"depth: missing 25\.00%, labelled images 75\.00%, ", train)
    assert done.stdout.count("labelled images") == 1


def test_check_reads_rooms_and_takes_overrides(tiny_experiment: Path) -> None:
    sizes = ["data.options.train_size=3", "data.options.val_size=2"]
    done = atrcnas(tiny_experiment.parent, "data", "check", "tiny.yaml", *sizes)
    assert done.returncode == 0, done.stderr
    assert "train: 3 samples" in done.stdout and "0 wall" in done.stdout


def test_wrong_archives_are_one_message(home: Path) -> None:
    assert "No such file" in refused(home, "data", "prepare", "nyud", "--archive", "none.tgz", "--root", "x")
    (home / "broken.tgz").write_bytes((home / "NYUD_MT.tgz").read_bytes()[:300])
    assert "broken.tgz" in refused(home, "data", "prepare", "nyud", "--archive", "broken.tgz", "--root", "x")
    assert "pascal" in refused(home, "data", "prepare", "pascal", "--archive", "NYUD_MT.tgz", "--root", "y")


def own(home: Path, *tasks: str, **options: Any) -> Experiment:
    """An experiment on files that a test has written to ``home``."""
    data = {"name": "folder", "options": {"root": str(home), **options}}
    return Experiment.load({"tasks": list(tasks), "data": data})


def write(home: Path, task: str, arrays: list[np.ndarray], suffix: str = ".png") -> None:
    for split in ("train", "val"):
        for number, array in enumerate(arrays):
            save(home / split / "image" / f"{number:03}.png", np.zeros((*array.shape[:2], 3), np.uint8))
            save(home / split / task / f"{number:03}{suffix}", array)


@pytest.mark.parametrize(
    ("scale", "warning"),
    [
        (1.0, None),
        (
            1000.0,
            "warning: depth: 700 to 7700 m reads like millimetres. If so, set data.options.values.depth.scale to 0.001",
        ),
        (
            100.0,
            "warning: depth: 70 to 770 m reads like centimetres. If so, set data.options.values.depth.scale to 0.01",
        ),
        (0.001, "warning: depth: 0.0007 to 0.0077 m reads like kilometres"),
    ],
)
def test_check_warns_about_depth_in_another_unit(tmp_path: Path, scale: float, warning: str | None) -> None:
    metres = np.linspace(0.7, 7.7, 48).reshape(6, 8)
    write(tmp_path, "depth", [(metres * scale).astype(np.float32)], ".npy")
    lines = [line.strip() for line in check_lines(own(tmp_path, "depth"))]
    assert sum("warning" in line for line in lines) == (0 if warning is None else 2), "one per split"
    assert warning is None or sum(line.startswith(warning) for line in lines) == 2


def test_check_says_how_masks_of_0_and_255_are_read(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[:3] = 255
    write(tmp_path, "sal", [mask])
    text = "\n".join(check_lines(own(tmp_path, "sal")))
    assert "layout: sal holds 0 and 255 alone, so 255 is class 1" in text
    assert "sal: missing 0.00%, classes 0 50.00%, 1 50.00%" in text
    save(tmp_path / "val/sal/000.png", mask // 255)
    text = "\n".join(check_lines(own(tmp_path, "sal")))
    assert "layout: sal holds other numbers than 0 and 255, so 255 is missing" in text


def test_check_folds_one_fault_over_many_files_into_a_line_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, "semseg", [np.full((6, 8), 3 + number % 9, np.uint8) for number in range(23)])
    with pytest.raises(DataError) as caught:
        list(check_lines(own(tmp_path, "semseg", classes={"semseg": 3})))
    head, *lines = str(caught.value).splitlines()
    assert head == "data 'folder': 46 problems"
    assert [line.split(":")[0].strip() for line in lines] == ["train", "val"]
    for line in lines:
        assert "000.png: expected class numbers 0..2, got 3" in line
        assert "Set data.options.classes.semseg" in line
        assert line.endswith("The same in 22 more files: 001.png, 002.png, 003.png, ...")
