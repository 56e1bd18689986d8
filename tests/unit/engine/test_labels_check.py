"""A task with nothing to learn from is refused before a search starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from atrcnas import ContextConfig, retrain
from atrcnas.data.loading import open_source
from atrcnas.engine.labels_check import require_labels
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import DataError
from atrcnas.launch.search import search
from atrcnas.spec.experiment import Experiment

SHAPE = (16, 24)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def experiment(root: Path, masks: dict[str, list[np.ndarray]], strategy: str = "gumbel") -> Experiment:
    """Training files as given by task, validation files the same."""
    for split in ("train", "val"):
        for number in range(len(next(iter(masks.values())))):
            save(root / split / "image" / f"{number}.png", np.zeros((*SHAPE, 3), np.uint8))
            for task, arrays in masks.items():
                save(root / split / task / f"{number}.png", arrays[number])
    data = {"name": "folder", "options": {"root": str(root), "classes": {"semseg": 3}}, "augment": None, "selection": 0}
    small = {"backbone": {"name": "atrcnas_small"}, "model": {"width": 8}, "devices": "cpu"}
    small |= {"search": {"steps": 2, "strategy": strategy}, "retrain": {"steps": 2, "warm_up": 0}}
    return Experiment.load({"tasks": list(masks), "data": data, **small})


def flat(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.uint8)


def half(value: int) -> np.ndarray:
    array = flat(0)
    array[:8] = value
    return array


ONE_CLASS = {"sal": [flat(0), flat(0), flat(0)], "semseg": [half(1), half(2), half(2)]}
NOTHING = {"semseg": [flat(255), flat(255), flat(255)], "sal": [half(1), half(1), half(1)]}


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (ONE_CLASS, "data: sal: expected at least two classes in the 3 training samples, got class 0 alone"),
        (NOTHING, "data: semseg: expected ground truth in some of the 3 training samples, got none in any"),
    ],
    ids=["one class", "nothing labelled"],
)
@pytest.mark.parametrize("strategy", ["gumbel", "random"])
def test_a_search_is_refused_and_leaves_no_run(
    tmp_path: Path, masks: dict[str, list[np.ndarray]], message: str, strategy: str
) -> None:
    spec = experiment(tmp_path / "data", masks, strategy)
    with pytest.raises(DataError, match=message):
        search(spec, tmp_path / "run")
    assert not (tmp_path / "run" / "experiment.yaml").exists()


def test_a_retraining_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 0 alone"):
        retrain(experiment(tmp_path / "data", ONE_CLASS), ContextConfig.load("baseline"), tmp_path / "run")


def test_what_one_sample_lacks_another_may_have(tmp_path: Path) -> None:
    masks = {"sal": [flat(0), flat(1), flat(255)], "semseg": [half(255), flat(255), half(2)]}
    spec = experiment(tmp_path / "data", masks)
    require_labels(spec, open_splits(spec))


def test_two_samples_are_enough_where_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Experiment.load(yaml.safe_load("{tasks: [semseg, depth], data: {name: rooms, options: {train_size: 50}}}"))
    splits, read = open_splits(spec), []
    kind = type(open_source(spec, "train"))
    plain = kind.__getitem__
    monkeypatch.setattr(kind, "__getitem__", lambda self, index: read.append(index) or plain(self, index))
    require_labels(spec, splits)
    assert len(read) <= 2
    assert set(read) <= set(splits.weights)
