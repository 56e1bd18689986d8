"""NYUD-v2 in its published layout, on real files with every rule of their values and every fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from atrcnas.data.nyud import CLASSES, Nyud, NyudOptions
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment
from tests.unit.data.files import expect_error, save

SHAPE = (6, 8)
TASKS = ("semseg", "depth", "normals", "edge")
# Neither sorted nor as the file system lists them.
IDS = {"train": ["0500", "0003", "1449"], "val": ["0002", "0001"]}
NORMALS = np.broadcast_to(np.array([0, 3, -4], np.float32), (*SHAPE, 3))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    home = tmp_path / "NYUD_MT"
    (home / "gt_sets").mkdir(parents=True)
    for split, names in IDS.items():
        (home / "gt_sets" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for number, name in enumerate(names):
            save(home / f"images/{name}.jpg", np.full((*SHAPE, 3), 60 * number, np.uint8))
            save(home / f"segmentation/{name}.png", np.full(SHAPE, number + 1, np.uint8))
            save(home / f"depth/{name}.npy", np.full(SHAPE, number + 0.5, np.float32))
            save(home / f"normals/{name}.npy", NORMALS)
            save(home / f"edge/{name}.npy", np.zeros(SHAPE, np.uint8))
    return tmp_path


def open_nyud(root: Path, *tasks: str, split: Any = "train") -> Nyud:
    return Nyud(NyudOptions(root=root), split, tasks or TASKS)


def test_samples_come_in_the_order_of_the_list(root: Path) -> None:
    nyud = open_nyud(root)
    assert [nyud[index].name for index in range(len(nyud))] == IDS["train"]
    assert [int(nyud[index].image.mean()) for index in range(3)] == [0, 60, 120]
    assert [float(nyud[index].targets["depth"][0, 0]) for index in range(3)] == [0.5, 1.5, 2.5]


def test_shapes_and_types_are_those_of_any_data_set(root: Path) -> None:
    sample = open_nyud(root)[0]
    types = {task: (values.shape, values.dtype) for task, values in sample.targets.items()}
    assert types == {
        "semseg": (SHAPE, np.int64),
        "depth": (SHAPE, np.float32),
        "normals": ((*SHAPE, 3), np.float32),
        "edge": (SHAPE, np.int64),
    }
    assert all(mask.shape == SHAPE and mask.dtype == bool and mask.all() for mask in sample.valid.values())


def test_background_is_ignored_and_the_40_classes_start_at_0(root: Path) -> None:
    stored = np.zeros(SHAPE, np.uint8)
    stored.flat[:40] = np.arange(1, 41)
    save(root / "NYUD_MT/segmentation/0500.png", stored)
    sample = open_nyud(root)[0]
    assert sample.targets["semseg"].flat[:40].tolist() == list(range(40))
    assert np.array_equal(sample.valid["semseg"], stored > 0)
    assert len(CLASSES) == 40
    assert CLASSES[0] == "wall"
    assert CLASSES[39] == "other_prop"


@pytest.mark.parametrize("stored", [41, 255])
def test_a_class_that_does_not_exist_is_refused_not_ignored(root: Path, stored: int) -> None:
    path = save(root / "NYUD_MT/segmentation/0500.png", np.full(SHAPE, stored, np.uint8))
    message = expect_error(rf"expected class numbers 1\.\.40, got {stored}", lambda: open_nyud(root)[0])
    assert message.startswith(str(path))


def test_zero_negative_and_non_finite_depth_is_missing(root: Path) -> None:
    stored = np.full(SHAPE, 2.25, np.float32)
    stored[0, :4] = 0, -1, np.nan, np.inf
    save(root / "NYUD_MT/depth/0500.npy", stored)
    sample = open_nyud(root)[0]
    assert sample.valid["depth"][0].tolist() == [False] * 4 + [True] * 4
    assert sample.valid["depth"][1:].all()
    assert (sample.targets["depth"][sample.valid["depth"]] == np.float32(2.25)).all()


def test_zero_normals_are_missing_and_others_brought_to_unit_length(root: Path) -> None:
    stored = NORMALS.copy()
    stored[2, 3] = 0
    save(root / "NYUD_MT/normals/0500.npy", stored)
    sample = open_nyud(root)[0]
    assert np.argwhere(~sample.valid["normals"]).tolist() == [[2, 3]]
    assert np.allclose(sample.targets["normals"][sample.valid["normals"]], [0, 0.6, -0.8], atol=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.bool_])
def test_edges_of_any_number_type_are_classes(root: Path, dtype: Any) -> None:
    stored = np.zeros(SHAPE, dtype)
    stored[1] = 1
    save(root / "NYUD_MT/edge/0500.npy", stored)
    sample = open_nyud(root, "edge")[0]
    assert sample.targets["edge"].tolist() == stored.astype(int).tolist()
    assert sample.valid["edge"].all()


@pytest.fixture
def older(root: Path) -> Path:
    """The same files in the layout of NYUDv2: PNG images, edges of 0 and 255, normals as colours."""
    home = (root / "NYUD_MT").rename(root / "NYUDv2")
    for names in IDS.values():
        for name in names:
            with Image.open(home / f"images/{name}.jpg") as image:
                save(home / f"images/{name}.png", np.array(image))
            edge = np.zeros(SHAPE, np.uint8)
            edge[1] = 255
            save(home / f"edge/{name}.png", edge)
            # 255 is 1, 0 is -1; the last column is mid grey, the nearest to a vector of no length.
            normals = np.broadcast_to(np.array([127, 204, 26], np.uint8), (*SHAPE, 3)).copy()
            normals[:, -1] = 128
            save(home / f"normals/{name}.png", normals)
            for other in (f"images/{name}.jpg", f"edge/{name}.npy", f"normals/{name}.npy"):
                (home / other).unlink()
    return root


def test_the_older_layout_is_read_and_named(older: Path) -> None:
    nyud = open_nyud(older)
    sample = nyud[0]
    assert [nyud[index].name for index in range(3)] == IDS["train"]
    assert sample.targets["edge"].tolist() == [[int(row == 1)] * SHAPE[1] for row in range(SHAPE[0])]
    assert sample.valid["edge"].all()
    assert (sample.valid["normals"] == (np.arange(SHAPE[1]) < SHAPE[1] - 1)).all()
    # 2p/255 - 1 is (-0.0039, 0.6, -0.7961), 0.9969 long.
    assert sample.targets["normals"][0, 0] == pytest.approx([-0.003934, 0.601889, -0.798574], abs=1e-5)
    assert float(sample.targets["depth"][0, 0]) == 0.5
    assert nyud.stored == "NYUDv2: images/*.png, segmentation/*.png, depth/*.npy, normals/*.png, edge/*.png"


def test_normals_keep_their_stored_length_where_asked(older: Path) -> None:
    sample = Nyud(NyudOptions(root=older, unit_normals=False), "train", TASKS)[0]
    assert sample.targets["normals"][0, 0] == pytest.approx([-1 / 255, 0.6, 26 * 2 / 255 - 1], abs=1e-6)
    assert not sample.valid["normals"][0, -1]


def test_the_newer_layout_names_itself(root: Path) -> None:
    expected = "NYUD_MT: images/*.jpg, segmentation/*.png, depth/*.npy, normals/*.npy, edge/*.npy"
    assert open_nyud(root).stored == expected


def test_edges_of_either_layout_are_read_by_its_own_numbers(older: Path) -> None:
    save(older / "NYUDv2/edge/0500.png", np.full(SHAPE, 2, np.uint16))
    assert not open_nyud(older, "edge")[0].targets["edge"].any(), "2 of 255 is not an edge"
    save(older / "NYUDv2/edge/0500.npy", np.full(SHAPE, 255, np.uint8))
    assert not open_nyud(older, "edge")[0].valid["edge"].any(), "255 in .npy is missing"


def test_root_may_be_the_data_sets_own_folder(root: Path) -> None:
    assert len(open_nyud(root / "NYUD_MT")) == 3
    (root / "NYUD_MT").rename(root / "NYUDv2")
    assert len(open_nyud(root)) == 3


def test_only_files_of_the_tasks_asked_for_are_needed(root: Path) -> None:
    for path in (root / "NYUD_MT/normals").iterdir():
        path.unlink()
    assert set(open_nyud(root, "depth", "semseg")[1].targets) == {"depth", "semseg"}


def test_a_missing_root_names_the_command_that_makes_it(tmp_path: Path) -> None:
    message = expect_error("got nothing there", lambda: open_nyud(tmp_path / "none"))
    assert f"`atrcnas data prepare nyud --archive FILE --root {tmp_path / 'none'}`" in message
    expect_error("got no gt_sets in it or in NYUD_MT or NYUDv2", lambda: open_nyud(tmp_path))


def test_a_missing_list_is_named(root: Path) -> None:
    (root / "NYUD_MT/gt_sets/val.txt").unlink()
    message = expect_error("expected a list with one id per line", lambda: open_nyud(root, split="val"))
    assert message.startswith(str(root / "NYUD_MT/gt_sets/val.txt"))
    assert "atrcnas data prepare nyud" in message


def test_missing_files_are_counted_and_the_first_five_named_per_folder(root: Path) -> None:
    names = [f"n{number}" for number in range(9)]
    (root / "NYUD_MT/gt_sets/train.txt").write_text("\n".join(["0500", *names]))
    for name in names[:8]:
        save(root / f"NYUD_MT/images/{name}.jpg", np.zeros((*SHAPE, 3), np.uint8))
    lines = expect_error("expected", lambda: open_nyud(root, "depth")).splitlines()
    assert "images/ID.jpg or images/ID.png for each of 10 ids, got none for 1: n8." in lines[0]
    assert "depth/ID.npy for each of 10 ids, got none for 9: n0, n1, n2, n3, n4 and 4 more." in lines[1]
    assert "atrcnas data prepare nyud" in lines[2]
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("0500\n0003\n0500\n", "expected each id once, got 0500"),
        ("../../etc/passwd\n", "expected ids of letters"),
        (".hidden\n", "expected ids of letters"),
        ("\n \n", "got an empty list"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(root: Path, content: str, match: str) -> None:
    (root / "NYUD_MT/gt_sets/train.txt").write_text(content)
    expect_error(match, lambda: open_nyud(root))


def test_lists_with_windows_line_ends_and_blank_lines_are_read(root: Path) -> None:
    (root / "NYUD_MT/gt_sets/train.txt").write_bytes(b"0003\r\n\r\n0500")
    nyud = open_nyud(root)
    assert [nyud[0].name, nyud[1].name] == ["0003", "0500"]


def test_there_is_no_test_split(root: Path) -> None:
    expect_error("'nyud' has no test split. Use train or val", lambda: open_nyud(root, split="test"))


def test_tasks_without_ground_truth_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"'nyud' has no 'sal'\. Its tasks: semseg, depth, normals, edge"):
        open_nyud(root, "sal")


def test_a_target_of_another_size_names_its_file(root: Path) -> None:
    path = save(root / "NYUD_MT/depth/0003.npy", np.ones((6, 7), np.float32))
    message = expect_error("expected the image's size, 6 x 8, got 6 x 7", lambda: open_nyud(root)[1])
    assert message.startswith(str(path))


def test_an_index_past_the_end_ends_iteration(root: Path) -> None:
    with pytest.raises(IndexError):
        open_nyud(root)[3]


def test_options_know_their_keys(root: Path) -> None:
    with pytest.raises(ValidationError, match="image_size"):
        NyudOptions.model_validate({"root": root, "image_size": [3, 4]})
    with pytest.raises(ValidationError, match="root"):
        NyudOptions.model_validate({})


def test_an_experiment_finds_it_and_learns_the_class_count(root: Path) -> None:
    experiment = Experiment.load(
        {"tasks": list(TASKS), "data": {"name": "nyud", "options": {"root": str(root)}}, "space": "atrc"}
    )
    assert experiment.resolved_tasks()["semseg"].channels == 40


def test_reading_needs_no_torch() -> None:
    modules = ("nyud", "pascal", "prepare")
    code = f"import {', '.join(f'atrcnas.data.{name}' for name in modules)}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
