"""Rooms as files: what goes through a layout comes back the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.dataset_files import write_folder, write_nyud, write_pascal
from atrcnas.data.folder import Folder, FolderOptions
from atrcnas.data.id_lists import Listed
from atrcnas.data.nyud import Nyud, NyudOptions
from atrcnas.data.pascal import Pascal, PascalOptions
from atrcnas.data.pascal_context import NORMALS_CLASSES, boundaries
from atrcnas.data.rooms import Rooms
from atrcnas.data.sample import Sample
from atrcnas.ground.errors import DataError

NYUD_TASKS = ("semseg", "depth", "normals", "edge")
PASCAL_TASKS = ("semseg", "human_parts", "sal", "normals", "edge")
SIZE = 5


class Listing(list[Sample]):
    """Samples in memory, as a source."""


def open_rooms(*tasks: str, split: Any = "train") -> Listing:
    rooms = Rooms(Rooms.Options(image_size=(40, 56), train_size=SIZE, val_size=2, missing_depth=0.2), split, tasks)
    return Listing(rooms[index] for index in range(len(rooms)))


def with_holes(samples: Listing, *tasks: str) -> Listing:
    """The samples with ground truth of ``tasks`` missing in a rectangle."""
    for sample in samples:
        for task in tasks:
            sample.valid[task] = sample.valid[task].copy()
            sample.valid[task][5:15, 10:20] = False
    return samples


def assert_same(task: str, source: Sample, read: Sample, atol: float = 0.0) -> None:
    valid = source.valid[task]
    assert np.array_equal(read.valid[task], valid), task
    difference = np.abs(read.targets[task][valid] - source.targets[task][valid])
    assert difference.max(initial=0) <= atol, task
    assert read.targets[task].dtype == source.targets[task].dtype


def test_folder_layout_gives_everything_back(tmp_path: Path) -> None:
    rooms = with_holes(open_rooms(*Rooms.all_tasks), *Rooms.all_tasks)
    assert write_folder(rooms, tmp_path, "train") == SIZE
    folder = Folder(FolderOptions(root=tmp_path, classes={"semseg": 15}), "train", Rooms.all_tasks)
    assert len(folder) == SIZE
    for index, source in enumerate(rooms):
        read = folder[index]
        assert read.name == source.name
        assert np.array_equal(read.image, source.image)
        for task in Rooms.all_tasks:
            # Unit length is computed again, in float32.
            assert_same(task, source, read, 3e-7 if task == "normals" else 0.0)


@pytest.mark.parametrize("split", ["train", "val"])
def test_nyud_layout_gives_classes_masks_and_metres_back(tmp_path: Path, split: Any) -> None:
    rooms = with_holes(open_rooms(*NYUD_TASKS, split=split), "semseg", "normals", "edge")
    write_nyud(rooms, tmp_path, split)
    nyud = Nyud(NyudOptions(root=tmp_path), split, NYUD_TASKS)
    assert len(nyud) == len(rooms)
    for index, source in enumerate(rooms):
        read = nyud[index]
        assert read.name == source.name
        assert np.abs(read.image.astype(int) - source.image).mean() < 8
        for task in NYUD_TASKS:
            assert_same(task, source, read, 3e-7 if task == "normals" else 0.0)
        assert not source.valid["depth"].all()


def test_pascal_layout_gives_classes_and_masks_back_and_normals_within_half_a_step(tmp_path: Path) -> None:
    rooms = with_holes(open_rooms(*PASCAL_TASKS), "semseg", "normals")
    write_pascal(rooms, tmp_path, "train")
    pascal = Pascal(PascalOptions(root=tmp_path), "train", PASCAL_TASKS)
    with_people = 0
    for index, source in enumerate(rooms):
        read = pascal[index]
        assert read.name == source.name
        for task in ("semseg", "sal"):
            assert_same(task, source, read)
        # Half of 1/127.5 a side, and what unit length makes of it.
        assert_same("normals", source, read, 0.5 / 127.5 * 1.8)
        if source.targets["human_parts"].any():
            assert_same("human_parts", source, read)
            with_people += 1
        else:
            assert not read.valid["human_parts"].any()
    assert 0 < with_people < SIZE


def test_pascal_edges_are_the_boundaries_of_the_written_label_map(tmp_path: Path) -> None:
    rooms = open_rooms("semseg", "edge")
    write_pascal(rooms, tmp_path, "train")
    pascal = Pascal(PascalOptions(root=tmp_path), "train", ("edge",))
    shared = np.array(sorted(NORMALS_CLASSES.values()))
    for index, source in enumerate(rooms):
        read = pascal[index]
        assert np.array_equal(read.targets["edge"], boundaries(shared[source.targets["semseg"]]))
        assert read.valid["edge"].all()
        assert 0.01 < read.targets["edge"].mean() < 0.3


def test_normals_alone_need_no_semseg(tmp_path: Path) -> None:
    rooms = with_holes(open_rooms("normals"), "normals")
    write_pascal(rooms, tmp_path, "train")
    read = Pascal(PascalOptions(root=tmp_path), "train", ("normals",))[0]
    assert_same("normals", rooms[0], read, 0.008)


def test_parts_missing_in_a_whole_image_come_back_as_missing(tmp_path: Path) -> None:
    rooms = open_rooms("human_parts")
    people = [sample for sample in rooms if sample.targets["human_parts"].any()]
    missing = replace(people[0], valid={"human_parts": np.zeros_like(people[0].valid["human_parts"])})
    write_pascal(Listing([missing]), tmp_path, "train")
    read = Pascal(PascalOptions(root=tmp_path), "train", ("human_parts",))[0]
    assert not read.valid["human_parts"].any()


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    rooms = open_rooms("semseg")
    write_nyud(rooms, tmp_path, "train")
    write_nyud(Listing(rooms[1:2]), tmp_path, "train")
    nyud: Listed = Nyud(NyudOptions(root=tmp_path), "train", ("semseg",))
    assert [nyud[index].name for index in range(len(nyud))] == [rooms[1].name]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("write", "task", "match"),
    [
        (write_nyud, "sal", "the layout of 'nyud' has no 'sal'"),
        (write_pascal, "depth", "the layout of 'pascal' has no 'depth'"),
    ],
)
def test_tasks_without_a_place_are_refused(tmp_path: Path, write: Any, task: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        write(open_rooms(task), tmp_path, "train")


@pytest.mark.parametrize(
    ("write", "task", "value", "match"),
    [
        (write_folder, "semseg", 255, "expected classes below 255, which is all the layout holds, got 255"),
        (write_nyud, "semseg", 40, "expected classes below 40, .* got 40"),
        (write_pascal, "semseg", 21, "expected classes below 21, .* got 21"),
        (write_pascal, "human_parts", 7, "expected classes below 7, .* got 7"),
        (write_nyud, "edge", 2, "expected classes below 2, .* got 2"),
    ],
)
def test_classes_that_would_not_come_back_are_refused(
    tmp_path: Path, write: Any, task: str, value: int, match: str
) -> None:
    rooms = open_rooms(task)
    rooms[0].targets[task][3, 4] = value
    with pytest.raises(DataError, match=match):
        write(rooms, tmp_path, "train")


@pytest.mark.parametrize("task", ["human_parts", "sal"])
def test_pixels_that_cannot_be_marked_missing_are_refused(tmp_path: Path, task: str) -> None:
    with pytest.raises(DataError, match="no value for missing pixels"):
        write_pascal(with_holes(open_rooms(task), task), tmp_path, "train")


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    rooms = open_rooms("edge")
    with pytest.raises(DataError, match="expected a name of letters"):
        write_folder(Listing([replace(rooms[0], name="../escape")]), tmp_path / "home", "train")
    assert not (tmp_path / "escape.png").exists()
