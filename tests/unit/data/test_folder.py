"""The folder data set, on real files and with every fault a user meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from atrcnas.data.folder import Folder, FolderOptions
from atrcnas.data.survey import survey
from atrcnas.data.tally import SplitReport
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS
from tests.unit.data.files import expect_error, save

SHAPE = (12, 16)
NAMES = ("a", "b", "c.d")
LABELS = (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 5).astype(np.uint8)


def target_files(task: str) -> tuple[str, np.ndarray]:
    """Suffix and stored numbers of a plain file of any task in the table."""
    kind = TASKS[task].target
    if kind == "scalar":
        return ".npy", np.full(SHAPE, 2.5, np.float32)
    if kind == "vector":
        return ".npy", np.broadcast_to(np.array([0, 0, -2], np.float32), (*SHAPE, 3)).copy()
    return ".png", LABELS % 2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three samples per split, every task."""
    for split in ("train", "val"):
        for number, name in enumerate(NAMES):
            save(tmp_path / split / "image" / f"{name}.png", np.full((*SHAPE, 3), 40 * number, np.uint8))
            for task in TASKS.names:
                suffix, array = target_files(task)
                save(tmp_path / split / task / f"{name}{suffix}", array)
    return tmp_path


def open_folder(root: Path, *tasks: str, split: Any = "train", **options: Any) -> Folder:
    return Folder(FolderOptions(root=root, **{"classes": {"semseg": 5}, **options}), split, tasks or TASKS.names)


def test_every_task_of_the_table_is_read_with_its_shape_and_type(root: Path) -> None:
    folder = open_folder(root)
    assert [folder[index].name for index in range(len(folder))] == ["a", "b", "c.d"]
    sample = folder[1]
    assert sample.image.shape == (*SHAPE, 3)
    assert (sample.image == 40).all()
    for task in TASKS:
        values = sample.targets[task.name]
        assert values.shape == ((*SHAPE, 3) if task.target == "vector" else SHAPE)
        assert values.dtype == (np.int64 if task.target == "classes" else np.float32)
        assert sample.valid[task.name].dtype == bool
        assert sample.valid[task.name].all()
    assert np.allclose(sample.targets["normals"], [0, 0, -1])


def test_label_out_of_range_names_file_value_range_and_way_out(root: Path) -> None:
    stored = LABELS.copy()
    stored[3, 7] = 9
    path = save(root / "train/semseg/b.png", stored)
    message = expect_error(r"expected class numbers 0\.\.4, got 9 \(1 pixels", lambda: open_folder(root)[1])
    assert message.startswith(f"{path}: ")
    assert "row 3, column 7" in message
    assert "data.options.classes.semseg" in message


def test_folders_that_do_not_exist_are_named_with_what_is_there(root: Path, tmp_path: Path) -> None:
    expect_error("nothing/here: expected the data set's folder", lambda: open_folder(tmp_path / "nothing/here"))
    expect_error(r"next to it: train, val|next to it: val, train", lambda: open_folder(root, train_split="training"))
    expect_error("expected a test split, but none is declared", lambda: open_folder(root, split="test"))


def test_all_problems_are_reported_at_once(root: Path) -> None:
    for path in (root / "train/depth").iterdir():
        path.unlink()
    (root / "train/edge/b.png").unlink()
    (root / "train/sal").rename(root / "train/saliency")
    save(root / "train/image/a.jpg", np.zeros((*SHAPE, 3), np.uint8))
    save(root / "train/semseg/a.png", LABELS[:, :-1])
    (root / "train/normals/b.npy").write_bytes(b"")
    lines = expect_error("expected", lambda: open_folder(root)).splitlines()
    for expected in (
        "train/depth: expected .png .jpg .jpeg .npy files, got no files",
        "train/edge: expected a file for each of 3 images, got none for 1: b.",
        "train/sal: expected a folder, got nothing there",
        "train/image: expected one file per name, got a.jpg and a.png.",
        "train/semseg/a.png: expected the image's size, 12 x 16, got 12 x 15.",
        "train/normals/b.npy: expected a readable .npy",
    ):
        assert sum(expected in line for line in lines) == 1, expected
    assert len(lines) == 6


def test_long_lists_are_shortened_and_misnamed_files_shown(root: Path) -> None:
    for number in range(20):
        save(root / f"train/image/n{number:02}.png", np.zeros((*SHAPE, 3), np.uint8))
        save(root / f"train/edge/n{number:02}_edge.png", LABELS[:-1])
        save(root / f"train/sal/n{number:02}.png", LABELS[:-1])
    message = expect_error("got none for 20: n00, n01, n02, n03, n04 and 15 more", lambda: open_folder(root, "edge"))
    assert "n00_edge.png" in message
    lines = expect_error("expected", lambda: open_folder(root, "sal")).splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("train/sal: 15 more files with such problems.")


def test_split_without_usable_images_is_refused(root: Path) -> None:
    for path in (root / "train/image").iterdir():
        path.rename(path.with_suffix(".heic"))
    expect_error(r"image: expected .*got only other files \(a\.heic", lambda: open_folder(root))


def test_turned_target_gets_a_message_about_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(root / "train/image/a.png", np.zeros((*SHAPE, 3), np.uint8), exif=exif)
    expect_error("16 x 12, got 12 x 16. The image's EXIF rotation", lambda: open_folder(root, "sal"))


def test_file_changed_after_the_check_is_noticed(root: Path) -> None:
    folder = open_folder(root, "sal")
    save(root / "train/sal/a.png", LABELS[1:] % 2)
    expect_error("The file has changed", lambda: folder[0])


def test_resizing_on_reading_keeps_labels_whole_and_depth_unchanged(root: Path) -> None:
    save(root / "train/semseg/a.png", np.where(LABELS == 4, 255, LABELS))
    sample = open_folder(root, image_size=(30, 21))[0]
    assert sample.image.shape == (30, 21, 3)
    assert {values.shape[:2] for values in sample.targets.values()} == {(30, 21)}
    assert set(np.unique(sample.targets["semseg"][sample.valid["semseg"]])) <= {0, 1, 2, 3}
    assert 0.1 < 1 - sample.valid["semseg"].mean() < 0.3
    assert (sample.targets["depth"] == 2.5).all()


def test_value_rules_reach_the_reader(root: Path) -> None:
    save(root / "train/depth/a.npy", np.full(SHAPE, 1500, np.int32))
    sample = open_folder(root, "depth", values={"depth": {"scale": 0.001}})[0]
    assert np.allclose(sample.targets["depth"], 1.5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"classes": {}}, "semseg' needs the number of classes"),
        ({"classes": {"semsg": 5}}, r"data\.options\.classes\.semsg: .* Did you mean 'semseg'"),
        ({"classes": {"semseg": 5, "depth": 5}}, r"classes\.depth: task 'depth' has no classes"),
        ({"classes": {"semseg": 5, "edge": 3}}, r"data\.options\.classes\.edge: .*'edge' has 2 classes"),
        ({"class_names": {"sal": ["a", "b", "c"]}}, r"data\.options\.class_names\.sal: .*'sal' has 2 classes"),
        ({"values": {"dept": {}}}, "Did you mean 'depth'"),
        ({"values": {"depth": {"shift": 1}}}, r"values\.depth\.shift: has no effect"),
        ({"values": {"edge": {"offset": 1}}}, r"values\.edge\.offset: has no effect"),
        ({"values": {"normals": {"scale": 2}}}, r"values\.normals\.scale: has no effect"),
    ],
)
def test_options_that_do_not_fit_the_tasks_are_refused(root: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_folder(root, **options)


def test_class_names_imply_the_count_and_must_agree_with_it(root: Path) -> None:
    names = ["sky", "road", "car", "tree", "person"]
    options = FolderOptions(root=root, class_names={"semseg": names})
    assert Folder.num_classes(options) == {"semseg": 5}
    assert Folder(options, "val", ["semseg", "edge"]).class_names == {"semseg": tuple(names)}
    with pytest.raises(ValidationError, match="expected 4 names"):
        FolderOptions(root=root, classes={"semseg": 4}, class_names={"semseg": names})


def surveyed(root: Path, *tasks: str, **options: Any) -> SplitReport:
    data = {"name": "folder", "options": {"root": str(root), "classes": {"semseg": 5}, **options}}
    return survey(Experiment.load({"tasks": list(tasks or TASKS.names), "data": data}), "train")


def test_a_survey_finds_each_fault_inside_files(root: Path) -> None:
    save(root / "train/semseg/a.png", np.full(SHAPE, 77, np.uint8))
    save(root / "train/edge/b.png", np.full(SHAPE, 255, np.uint8))
    damaged = root / "train/image/b.png"
    damaged.write_bytes(damaged.read_bytes()[:45])
    report = surveyed(root)
    assert report.num_samples == 3
    assert len(report.problems) == 2
    for expected in ("semseg/a.png: expected class numbers 0..4, got 77", "image/b.png: expected a readable image"):
        assert any(expected in problem for problem in report.problems), expected


def test_a_survey_counts_classes_missing_pixels_ranges_and_labelled_images(root: Path) -> None:
    save(root / "train/depth/a.npy", np.linspace(0, 9, LABELS.size).reshape(SHAPE))
    save(root / "train/edge/a.png", np.where(LABELS == 0, 255, 1).astype(np.uint8))
    save(root / "train/normals/c.d.npy", np.zeros((*SHAPE, 3), np.float32))
    report = surveyed(root, "depth", "edge", "normals")
    assert report.problems == []
    assert report.image_sizes == {SHAPE: 3}
    assert report.ranges["depth"] == pytest.approx((9 / (LABELS.size - 1), 9))
    assert report.missing_shares["depth"] == pytest.approx(1 / (3 * LABELS.size))
    assert report.missing_shares["normals"] == pytest.approx(1 / 3)
    assert report.labelled_shares == pytest.approx({"depth": 1, "edge": 1, "normals": 2 / 3})
    assert sum(report.class_shares["edge"]) == pytest.approx(1)
    ones = (LABELS != 0).sum() + 2 * (LABELS % 2).sum()
    assert report.class_shares["edge"][1] == pytest.approx(ones / (3 * LABELS.size - (LABELS == 0).sum()))


@pytest.mark.parametrize("partial", [True, ["depth", "normals", "semseg"]])
@pytest.mark.parametrize("image_size", [None, (9, 11)])
def test_a_file_that_is_missing_where_it_may_be_counts_as_nothing_labelled(
    root: Path, partial: Any, image_size: Any
) -> None:
    for name in ("depth/a.npy", "normals/a.npy", "semseg/a.png", "semseg/b.png"):
        (root / "train" / name).unlink()
    folder = open_folder(root, partial=partial, image_size=image_size)
    found = {task: [bool(folder[index].valid[task].any()) for index in range(3)] for task in TASKS.names}
    assert found == dict.fromkeys(TASKS.names, [True] * 3) | {
        "depth": [False, True, True],
        "normals": [False, True, True],
        "semseg": [False, False, True],
    }
    assert {task: folder.labelled(task) for task in ("depth", "semseg", "sal")} == {
        "depth": [1, 2],
        "semseg": [2],
        "sal": [0, 1, 2],
    }
    labelled, not_labelled = folder[2], folder[0]
    for task in TASKS.names:
        assert not_labelled.targets[task].shape == labelled.targets[task].shape
        assert not_labelled.targets[task].dtype == labelled.targets[task].dtype
        assert not_labelled.valid[task].shape == labelled.valid[task].shape


def test_missing_files_stay_problems_of_tasks_that_are_to_be_labelled(root: Path) -> None:
    (root / "train/depth/a.npy").unlink()
    for partial in (False, [], ["semseg"]):
        expect_error(
            "train/depth: expected a file for each of 3 images", lambda p=partial: open_folder(root, partial=p)
        )
    with pytest.raises(ConfigError, match=r"data\.options\.partial: .*Did you mean 'depth'"):
        open_folder(root, partial=["dept"])


def test_a_misspelt_file_does_not_pass_for_a_missing_label(root: Path) -> None:
    (root / "train/depth/a.npy").rename(root / "train/depth/A.npy")
    expect_error(r"train/depth: expected files named after images, got A\.npy", lambda: open_folder(root, partial=True))
    for path in (root / "train/sal").iterdir():
        path.unlink()
    expect_error("train/sal: expected .* files, got no files", lambda: open_folder(root, "sal", partial=True))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_pixels": "1000"}, r"max_pixels: expected an integer, got '1000'"),
        ({"classes": {"semseg": True}}, r"classes\.semseg: expected an integer, got True"),
        ({"image_size": ["9", 9]}, r"image_size.0: expected an integer, got '9'"),
        ({"partial": "yes"}, r"partial: expected true, or a list of the tasks"),
        ({"values": {"depth": {"scale": "0.1"}}}, r"scale: expected a number, got '0\.1'"),
    ],
)
def test_options_are_not_converted_from_text(root: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        surveyed(root, "depth", **options)
