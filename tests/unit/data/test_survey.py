"""Reading whole splits: every fault is named once, and what is sound still counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.dataset_files import write_folder, write_nyud, write_pascal
from atrcnas import Experiment
from atrcnas.data.nyud import Nyud
from atrcnas.data.pascal import Pascal
from atrcnas.data.rooms import Rooms
from atrcnas.data.sample import Sample
from atrcnas.data.survey import survey, survey_samples
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import TASKS

SHAPE = (32, 40)
WRITERS = {"nyud": (write_nyud, Nyud.layout.tasks), "pascal": (write_pascal, Pascal.layout.tasks)}


def rooms(split: str, tasks: tuple[str, ...]) -> Rooms:
    return Rooms(Rooms.Options(image_size=SHAPE, train_size=3, val_size=2), split, tasks)  # type: ignore[arg-type]


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Experiment, Path]:
    """An experiment on rooms in the layout named by the parameter, and its root."""
    name = request.param
    if name == "rooms":
        options: dict[str, Any] = {"image_size": SHAPE, "train_size": 3, "val_size": 2}
        return Experiment.load({"tasks": ["depth", "semseg"], "data": {"name": name, "options": options}}), tmp_path
    write, tasks = WRITERS.get(name, (write_folder, ("semseg", "depth", "normals")))
    for split in ("train", "val"):
        write(rooms(split, tasks), tmp_path, split)
    options = {"root": str(tmp_path)} | ({"classes": {"semseg": 15}} if name == "folder" else {})
    return Experiment.load({"tasks": list(tasks), "data": {"name": name, "options": options}}), tmp_path


SOURCES = ["rooms", "folder", "nyud", "pascal"]


@pytest.mark.parametrize("opened", SOURCES, indirect=True)
def test_any_source_is_read_whole(opened: tuple[Experiment, Path]) -> None:
    experiment, _ = opened
    seen: list[tuple[int, int]] = []
    report = survey(experiment, "train", lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (report.num_samples, report.problems) == (3, [])
    assert set(report.missing_shares) == set(experiment.all_tasks)
    for task in experiment.resolved_tasks().values():
        if task.target == "classes":
            assert sum(report.class_shares[task.name]) == pytest.approx(1)
        elif task.target == "vector":
            assert report.lengths[task.name] == pytest.approx((1, 1), abs=1e-5)
        else:
            assert 0 < report.ranges[task.name][0] < report.ranges[task.name][1] < 20


@pytest.mark.parametrize("opened", ["nyud"], indirect=True)
def test_figures_are_those_of_the_samples(opened: tuple[Experiment, Path]) -> None:
    experiment, root = opened
    source = rooms("train", Nyud.layout.tasks)
    depth = np.stack([source[index].targets["depth"] for index in range(3)])
    depth[0, :4] = 0.0
    np.save(root / f"NYUD_MT/depth/{source[0].name}.npy", depth[0])
    report = survey(experiment, "train")
    assert report.missing_shares["depth"] == pytest.approx(4 / SHAPE[0] / 3)
    assert report.ranges["depth"] == pytest.approx((depth[depth > 0].min(), depth.max()))
    classes = np.stack([source[index].targets["semseg"] for index in range(3)])
    assert report.class_shares["semseg"][:15] == pytest.approx(
        np.bincount(classes.ravel(), minlength=15) / classes.size
    )


@pytest.mark.parametrize("opened", ["nyud"], indirect=True)
def test_each_damaged_file_is_named_and_the_sound_ones_count(opened: tuple[Experiment, Path]) -> None:
    experiment, root = opened
    ids = (root / "NYUD_MT/gt_sets/train.txt").read_text().split()
    damaged = [root / f"NYUD_MT/depth/{ids[1]}.npy", root / f"NYUD_MT/segmentation/{ids[1]}.png"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:50])
    image = root / f"NYUD_MT/images/{ids[2]}.jpg"
    image.write_bytes(b"no image")
    report = survey(experiment, "train")
    assert len(report.problems) == 3
    for path in (*damaged, image):
        assert sum(str(path) in problem for problem in report.problems) == 1
    assert report.num_samples == 3
    assert sum(report.class_shares["edge"]) == pytest.approx(1)


@pytest.mark.parametrize("opened", ["pascal"], indirect=True)
def test_a_missing_file_is_a_data_error(opened: tuple[Experiment, Path]) -> None:
    experiment, root = opened
    next(iter((root / "PASCAL_MT/sal_distill").iterdir())).unlink()
    with pytest.raises(DataError, match="sal_distill"):
        survey(experiment, "train")


class Plugin:
    """A reader of somebody else's, with a fault of the kind given in its second sample."""

    class_names: dict[str, tuple[str, ...]] = {}

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        edge, depth = np.zeros((4, 5), np.int64), np.ones((4, 5), np.float32)
        normals = np.tile(np.float32([0, 0, -1]), (4, 5, 1))
        targets, valid = {"edge": edge, "depth": depth, "normals": normals}, np.ones((4, 5), np.bool_)
        if index == 1:
            match self.fault:
                case "raises":
                    raise KeyError("gone")
                case "class":
                    edge[0, 0] = 2
                case "negative":
                    edge[0, 0] = -1
                case "scores":
                    targets["edge"] = np.full((4, 5), 0.5)
                case "infinite":
                    depth[0, 0] = np.inf
                case "length":
                    normals[0, 0] = 3
                case "shape":
                    targets["depth"] = depth[:3]
                case "absent":
                    del targets["depth"]
        return Sample(
            str(index), np.zeros((4, 5, 3), np.uint8), targets, dict.fromkeys(("edge", "depth", "normals"), valid)
        )


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("none", None),
        ("raises", "sample 1: cannot be read (KeyError"),
        ("class", "1: edge: expected 0..1, got 0..2"),
        ("negative", "1: edge: expected 0..1, got -1..0"),
        ("scores", "1: edge: expected whole class numbers, got float64"),
        ("infinite", "1: depth: expected finite numbers, got 1"),
        ("length", "1: normals: expected vectors of length 1, got 1.000..5.196"),
        ("shape", "1: depth: expected [4, 5] with a mask [4, 5]"),
        ("absent", "1: depth: expected ground truth and its mask, got none"),
    ],
)
def test_a_readers_own_faults_are_reported(fault: str, says: str | None) -> None:
    tasks = {name: TASKS[name] for name in ("edge", "depth", "normals")}
    report = survey_samples(Plugin(fault), tasks, lambda _: Plugin(fault))
    assert len(report.problems) == (0 if says is None else 1), report.problems
    assert says is None or report.problems[0].startswith(says)
    assert report.missing_shares.keys() == tasks.keys()


def test_a_task_without_ground_truth_in_any_sample_is_a_problem() -> None:
    class Empty(Plugin):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            sample.valid["depth"] = np.zeros((4, 5), np.bool_)
            return sample

    report = survey_samples(Empty("none"), {"depth": TASKS["depth"]}, lambda _: Empty("none"))
    assert report.problems == ["depth: expected ground truth somewhere in the split, got none in any sample."]
