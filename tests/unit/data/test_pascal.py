"""PASCAL-Context in its published layout, on real files with every rule of their values and every fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from atrcnas.data.matlab import read_variable
from atrcnas.data.pascal import CLASSES, Pascal, PascalOptions
from atrcnas.data.pascal_context import NORMALS_CLASSES, boundaries
from atrcnas.data.pascal_parts import GROUPS
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.thinning import thin_levels
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS as TASK_TABLE
from tests.unit.data.files import expect_error, save

SHAPE = (6, 8)
TASKS = ("semseg", "human_parts", "sal", "normals", "edge")
IDS = {"train": ["2010_000002", "2008_000008"], "val": ["2008_000001"]}
WALL, SKY, PERSON = 440, 360, 284


def save_label_map(path: Path, labels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"LabelMap": labels.astype(np.uint16)})
    return path


def save_parts(path: Path, objects: Sequence[tuple[int, Sequence[tuple[str, np.ndarray]]]]) -> Path:
    """An annotation as MATLAB writes it: class number and named part masks of each object; no parts are []."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = np.empty((1, len(objects)), [(name, object) for name in ("class", "class_ind", "mask", "parts")])
    for number, (class_ind, parts) in enumerate(objects):
        named = np.empty((1, len(parts)), [("part_name", object), ("mask", object)])
        for place, part in enumerate(parts):
            named[0, place] = part
        whole = np.any([mask for _, mask in parts], axis=0) if parts else np.ones(SHAPE)
        found[0, number] = ("thing", class_ind, whole.astype(np.uint8), named if parts else np.zeros((0, 0)))
    savemat(path, {"anno": {"imname": path.stem, "objects": found}})
    return path


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "PASCAL_MT"
    (home / "ImageSets/Context").mkdir(parents=True)
    for split, names in IDS.items():
        (home / f"ImageSets/Context/{split}.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            save(home / f"JPEGImages/{name}.jpg", np.full((*SHAPE, 3), 60 * number, np.uint8))
            save(home / f"semseg/VOC12/{name}.png", np.full(SHAPE, number, np.uint8))
            save_parts(home / f"human_parts/{name}.mat", [(15, [("head", box(0, 2, 0, 2))])])
            save(home / f"sal_distill/{name}.png", np.full(SHAPE, 255, np.uint8))
            save(home / f"normals_distill/{name}.png", np.full((*SHAPE, 3), (128, 128, 0), np.uint8))
            save_label_map(home / f"pascal-context/trainval/{name}.mat", np.full(SHAPE, WALL))
    return home


def open_pascal(home: Path, *tasks: str, split: Any = "train", **options: Any) -> Pascal:
    return Pascal(PascalOptions(root=home.parent, **options), split, tasks or TASKS)


def first(folder: Path, suffix: str) -> Path:
    return folder / f"{IDS['train'][0]}{suffix}"


def test_samples_come_in_the_order_of_the_list_with_all_tasks(home: Path) -> None:
    pascal = open_pascal(home)
    assert [pascal[index].name for index in range(len(pascal))] == IDS["train"]
    sample = pascal[1]
    assert int(sample.image.mean()) == 60
    for task in TASKS:
        vector = TASK_TABLE[task].target == "vector"
        assert sample.targets[task].shape == ((*SHAPE, 3) if vector else SHAPE)
        assert sample.targets[task].dtype == (np.float32 if vector else np.int64)
        assert sample.valid[task].shape == SHAPE
        assert sample.valid[task].dtype == bool


def test_semseg_255_is_ignored_and_classes_are_stored_as_they_are(home: Path) -> None:
    stored = np.full(SHAPE, 255, np.uint8)
    stored.flat[:21] = np.arange(21)
    image = Image.fromarray(stored, mode="P")
    image.putpalette([200, 100, 50] * 256)
    image.save(first(home / "semseg/VOC12", ".png"))
    sample = open_pascal(home)[0]
    assert sample.targets["semseg"].flat[:21].tolist() == list(range(21))
    assert np.array_equal(sample.valid["semseg"], stored != 255)
    assert (len(CLASSES), CLASSES[0], CLASSES[15]) == (21, "background", "person")


def test_semseg_comes_from_voc_where_it_is_and_else_from_context(home: Path) -> None:
    name = IDS["train"][0]
    save(home / f"semseg/pascal-context/{name}.png", np.full(SHAPE, 7, np.uint8))
    assert (open_pascal(home, "semseg")[0].targets["semseg"] == 0).all()
    (home / f"semseg/VOC12/{name}.png").unlink()
    assert (open_pascal(home, "semseg")[0].targets["semseg"] == 7).all()
    assert (open_pascal(home, "semseg")[1].targets["semseg"] == 1).all()


@pytest.mark.parametrize(("grouping", "num_parts", "expected"), [("six", 6, [2, 4, 6]), ("none", 1, [1, 1, 1])])
def test_parts_are_grouped_as_asked(home: Path, grouping: str, num_parts: int, expected: list[int]) -> None:
    stored = [("neck", box(0, 1, 0, 1)), ("rhand", box(1, 2, 0, 1)), ("lfoot", box(2, 3, 0, 1))]
    save_parts(first(home / "human_parts", ".mat"), [(15, stored)])
    pascal = open_pascal(home, "human_parts", part_grouping=grouping)
    assert pascal[0].targets["human_parts"][:4, 0].tolist() == [*expected, 0]
    assert pascal[0].valid["human_parts"].all()
    assert len(pascal.class_names["human_parts"]) == num_parts + 1
    options = {"root": str(home), "part_grouping": grouping}
    spec = Experiment.load({"tasks": ["human_parts"], "data": {"name": "pascal", "options": options}})
    task = spec.resolved_tasks()["human_parts"]
    assert (task.num_channels, task.num_labels) == (num_parts + 1, num_parts + 1)


@pytest.mark.parametrize("grouping", ["four", "4", 6, 1])
def test_other_groupings_are_refused_with_the_two_there_are(home: Path, grouping: object) -> None:
    options = {"root": str(home), "part_grouping": grouping}
    with pytest.raises(ConfigError, match="part_grouping: expected 'six' or 'none'"):
        Experiment.load({"tasks": ["human_parts"], "data": {"name": "pascal", "options": options}})


def test_every_annotated_part_is_in_one_group_of_each_grouping() -> None:
    for groups in GROUPS.values():
        parts = [part for group in groups.values() for part in group]
        assert (len(parts), len(set(parts))) == (24, 24)


def test_later_persons_cover_earlier_ones_and_other_things_have_no_parts(home: Path) -> None:
    objects = [
        (15, [("torso", box(0, 4, 0, 4))]),
        (13, [("head", box(0, 6, 0, 8))]),
        (15, []),
        (15, [("hair", box(2, 5, 2, 5))]),
    ]
    save_parts(first(home / "human_parts", ".mat"), objects)
    expected = np.zeros(SHAPE)
    expected[0:4, 0:4] = 2
    expected[2:5, 2:5] = 1
    assert np.array_equal(open_pascal(home, "human_parts")[0].targets["human_parts"], expected)


@pytest.mark.parametrize(
    "objects", [[], [(13, [("head", box(0, 6, 0, 8))])], [(15, [])], [(15, [("nose", box(0, 0, 0, 0))])]]
)
def test_an_image_without_any_part_of_a_person_has_no_ground_truth(home: Path, objects: Any) -> None:
    save_parts(first(home / "human_parts", ".mat"), objects)
    sample = open_pascal(home, "human_parts")[0]
    assert not sample.valid["human_parts"].any()
    assert not sample.targets["human_parts"].any()


def test_saliency_is_cut_above_the_middle(home: Path) -> None:
    stored = np.zeros(SHAPE, np.uint8)
    stored[0, :4] = 1, 127, 128, 255
    save(first(home / "sal_distill", ".png"), stored)
    sample = open_pascal(home, "sal")[0]
    assert sample.targets["sal"][0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert sample.valid["sal"].all()


def test_normals_are_valid_on_classes_shared_with_nyud_only(home: Path) -> None:
    stored = np.full((*SHAPE, 3), (255, 128, 0), np.uint8)
    stored[0, 0] = 128
    labels = np.full(SHAPE, WALL)
    labels[3], labels[4], labels[5] = SKY, 431, 0
    save(first(home / "normals_distill", ".png"), stored)
    save_label_map(first(home / "pascal-context/trainval", ".mat"), labels)
    sample = open_pascal(home, "normals")[0]
    expected = np.zeros(SHAPE, bool)
    expected[:3] = True
    expected[0, 0] = False
    assert np.array_equal(sample.valid["normals"], expected)
    raw = np.array([1, 1 / 255, -1])
    assert np.allclose(sample.targets["normals"][expected], raw / np.linalg.norm(raw), atol=1e-6)
    assert not sample.targets["normals"][~expected].any()


def test_the_table_of_shared_classes_holds_the_published_ones() -> None:
    assert len(NORMALS_CLASSES) == 170
    some = {"bed": 18, "ceiling": 68, "chair": 72, "floor": 158, "person": 284, "sofa": 368, "table": 397, "wall": 440}
    assert some.items() <= NORMALS_CLASSES.items()
    assert NORMALS_CLASSES["tvmonitor"] == 427
    assert not {"sky", "grass", "unknown", "building"} & set(NORMALS_CLASSES)


def test_edges_are_the_thinned_laplacian_of_the_label_map(home: Path) -> None:
    labels = np.full(SHAPE, WALL)
    labels[:, 4:] = SKY
    save_label_map(first(home / "pascal-context/trainval", ".mat"), labels)
    sample = open_pascal(home, "edge")[0]
    # The Laplacian marks both columns next to the step; thinning leaves one of them.
    columns = np.flatnonzero(sample.targets["edge"][2])
    assert columns.tolist() in ([3], [4])
    assert (sample.targets["edge"][2:4].sum(axis=1) == 1).all()
    assert sample.valid["edge"].all()
    assert not open_pascal(home, "edge")[1].targets["edge"].any()


def test_boundaries_equal_a_laplacian_written_out() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(1, 6, (30, 9)), 5, axis=1)
    height, width = labels.shape
    laplacian = np.zeros(labels.shape, int)
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                # Mirrored at the border without repeating it.
                near = height - 1 - abs(height - 1 - abs(row + down)), width - 1 - abs(width - 1 - abs(column + right))
                laplacian[row, column] += labels[near] - labels[row, column]
    expected = thin_levels((laplacian != 0).astype(np.int64), 1)[0] > 0
    assert np.array_equal(boundaries(labels), expected)


@pytest.mark.parametrize(
    ("write", "task", "match"),
    [
        (lambda path: path.write_bytes(b"no matlab"), "edge", "expected a readable MATLAB file"),
        (lambda path: savemat(path, {"Labels": np.ones(SHAPE)}), "edge", "expected a variable 'LabelMap', got none"),
        (
            lambda path: save_label_map(path, np.full(SHAPE, 460)),
            "edge",
            r"expected LabelMap \[H, W\] of classes 0..459",
        ),
        (lambda path: savemat(path, {"LabelMap": "abc"}), "edge", r"expected LabelMap \[H, W\]"),
        (lambda path: save_label_map(path, np.ones((6, 7))), "edge", "expected the image's size, 6 x 8, got 6 x 7"),
        (lambda path: save_label_map(path, np.ones((6, 7))), "normals", "expected the size of .*, 6 x 8, got 6 x 7"),
    ],
)
def test_faults_of_a_label_map_name_the_file(
    home: Path, write: Callable[[Path], object], task: str, match: str
) -> None:
    path = first(home / "pascal-context/trainval", ".mat")
    write(path)
    assert expect_error(match, lambda: open_pascal(home, task)[0]).startswith(str(path))


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda path: save_parts(path, [(15, [("wing", box(0, 1, 0, 1))])]), "unknown part 'wing' of a person"),
        (
            lambda path: save_parts(path, [(15, [("head", np.ones((6, 9)))])]),
            r"masks of the image's size, 6 x 8, got \[6, 9\]",
        ),
        (lambda path: savemat(path, {"anno": np.ones((2, 2))}), "expected anno.objects"),
        (lambda path: save_parts(path, [(np.inf, [])]), "expected anno.objects"),
        (lambda path: savemat(path, {"anno": {"objects": {"class_ind": 15}}}), "expected anno.objects"),
    ],
)
def test_faults_of_human_parts_name_the_file(home: Path, write: Callable[[Path], object], match: str) -> None:
    path = first(home / "human_parts", ".mat")
    write(path)
    assert expect_error(match, lambda: open_pascal(home, "human_parts")[0]).startswith(str(path))


def test_damaged_matlab_files_never_end_in_anything_but_a_message(home: Path) -> None:
    path, rng = first(home / "human_parts", ".mat"), np.random.default_rng(2)
    intact = np.frombuffer(path.read_bytes(), np.uint8)
    pascal = open_pascal(home, "human_parts")
    for _ in range(60):
        damaged = intact[: rng.integers(1, len(intact) + 1)].copy()
        damaged[rng.integers(0, len(damaged), 3)] ^= rng.integers(1, 256, 3).astype(np.uint8)
        path.write_bytes(damaged.tobytes())
        try:
            pascal[0]
        except DataError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_cut_anywhere_is_refused(home: Path, compressed: bool) -> None:
    path, pascal = first(home / "human_parts", ".mat"), open_pascal(home, "human_parts")
    savemat(path, {"anno": loadmat(path)["anno"]}, do_compression=compressed)
    assert pascal[0].valid["human_parts"].all()
    intact = path.read_bytes()
    for length in range(0, len(intact), 1 if compressed else 7):
        path.write_bytes(intact[:length])
        expect_error("MATLAB file|variable 'anno'", lambda: pascal[0])


def test_records_whose_field_names_have_no_length_are_refused(home: Path) -> None:
    path = first(home / "human_parts", ".mat")
    # The length is four bytes in an element's head, of kind 5.
    pattern = re.compile(rb"(\x05\x00\x04\x00).{4}", re.DOTALL)
    damaged, times = pattern.subn(lambda found: found[1] + bytes(4), path.read_bytes())
    assert times
    path.write_bytes(damaged)
    expect_error("damaged field names", lambda: open_pascal(home, "human_parts")[0])


def test_matlab_variables_read_as_scipy_reads_them(tmp_path: Path) -> None:
    records = np.empty((2, 1), [("text", object), ("number", object)])
    records[0, 0], records[1, 0] = ("a", np.int16(-3)), ("b\N{MICRO SIGN}", np.eye(2))
    content = {
        "real": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        "cube": np.arange(24, dtype=np.uint16).reshape(2, 3, 4),
        "flags": np.array([[True, False]]),
        "empty": np.zeros((0, 0)),
        "text": "words",
        "records": records,
    }
    path = tmp_path / "a.mat"
    for compressed in (False, True):
        savemat(path, content, do_compression=compressed)
        expected = loadmat(path)
        for name in content:
            read = read_variable(path, name)
            assert (read.shape, read.dtype.names) == (expected[name].shape, expected[name].dtype.names), name
            fields = read.dtype.names or ()
            assert fields or np.array_equal(read, expected[name]), name
            for one, other in zip(read.ravel(), expected[name].ravel(), strict=True):
                assert all(np.array_equal(one[field], other[field]) for field in fields), name


def test_missing_files_are_named_with_their_alternatives(home: Path) -> None:
    first(home / "semseg/VOC12", ".png").unlink()
    first(home / "pascal-context/trainval", ".mat").unlink()
    lines = expect_error("expected", lambda: open_pascal(home)).splitlines()
    assert "semseg/VOC12/ID.png or semseg/pascal-context/ID.png for each of 2 ids, got none for 1: 2010" in lines[0]
    assert "pascal-context/trainval/ID.mat for each of 2 ids, got none for 1" in lines[1]
    assert "`atrcnas data prepare pascal --archive FILE" in lines[2]
    assert len(lines) == 3


def test_there_is_no_test_split_and_no_depth(home: Path) -> None:
    expect_error("'pascal' has no test split", lambda: open_pascal(home, split="test"))
    with pytest.raises(ConfigError, match="'pascal' has no 'depth'"):
        open_pascal(home, "depth")
