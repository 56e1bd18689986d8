"""What is chosen is chosen on samples that nothing is trained on, and reported on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.data.loading import training_loader
from atrcnas.data.rooms.dataset import Rooms
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.files import write_yaml
from atrcnas.runs.folder import RunFolder
from tests.conftest import TINY

BASELINE = ContextConfig.load("baseline")
# Real images vary in every pass; here a sample is recognised by what is read, before augmentation.
BI_LEVEL = ["search.held_out=0.5", "data.options.train_size=20", "data.options.val_size=4"]


class Reads:
    """Which samples of which split were read, in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, int]] = []
        whole = Rooms.__getitem__

        def noted(rooms: Rooms, index: int) -> Any:
            self.seen.append((rooms.split, int(index)))
            return whole(rooms, index)

        monkeypatch.setattr(Rooms, "__getitem__", noted)

    def of(self, split: str) -> set[int]:
        return {index for name, index in self.seen if name == split}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("selection", "held_out"), [(0.1, 0.0), (0.3, 0.5), (0.0, 0.5), (0.5, 0.9)])
def test_the_parts_of_the_training_split_are_disjoint_and_all_of_it(
    selection: float, held_out: float, seed: int
) -> None:
    experiment = Experiment.load(TINY, [f"seed={seed}", f"data.selection={selection}"])
    splits = open_splits(experiment, held_out)
    together = [*splits.weights, *splits.logits, *splits.selection]
    assert sorted(together) == list(range(40))
    assert len(splits.selection) == round(40 * selection)
    again = open_splits(experiment, held_out)
    assert (splits.weights, splits.logits, splits.selection) == (again.weights, again.logits, again.selection)


def test_a_selection_is_one_sample_at_least_and_never_all() -> None:
    few = Experiment.load(TINY, ["data.options.train_size=3"])
    assert len(open_splits(few).selection) == 1
    with pytest.raises(ConfigError, match=r"data\.selection: .*both choice and training need some"):
        open_splits(few.replace(data={"selection": 0.99}))


def test_samples_for_choosing_are_not_trained_on_and_reported_ones_choose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.load(TINY, ["retrain.keep=best", "retrain.steps=12", "retrain.validate_every=12"])
    splits = open_splits(experiment)
    reads = Reads(monkeypatch)
    results = retrain(experiment, BASELINE, tmp_path / "run")
    first_val = next(place for place, (split, _) in enumerate(reads.seen) if split == "val")
    trained, chosen = set(splits.weights), set(splits.selection)
    assert not trained & chosen
    while_training = [index for split, index in reads.seen[:first_val]]
    assert set(while_training) <= trained | chosen and chosen <= set(while_training)
    assert {split for split, _ in reads.seen[first_val:]} == {"val"}, "the val split is read once, at the end"
    assert len(reads.seen) - first_val == 4
    assert results["selected_on"]["split"] == "train" and results["selected_on"]["samples"] == len(chosen)
    assert results["selected_on"]["scores"] != results["scores"]
    assert json.loads((tmp_path / "run/results.json").read_text())["keep"] == "best"


def test_training_reads_only_its_own_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the validations out of the way, what is read is what is trained on (labels of normals are not fitted here)."""
    # These two look at a sample or two of the weights' part before the first step.
    monkeypatch.setattr("atrcnas.engine.gradient_search.require_labels", lambda experiment, splits: None)
    monkeypatch.setattr("atrcnas.engine.stage.briefing", lambda *_: [])
    experiment = Experiment.load(TINY, [*BI_LEVEL, "search.steps=8", "search.validate_every=8"])
    splits = open_splits(experiment, 0.5)
    reads = Reads(monkeypatch)
    search(experiment, tmp_path / "run")
    order = [index for split, index in reads.seen if split == "train"]
    in_training = order[: 2 * 8 * experiment.search.batch_size]
    for batch in np.array(in_training).reshape(-1, experiment.search.batch_size).tolist():
        assert set(batch) <= set(splits.logits) or set(batch) <= set(splits.weights)
    assert set(order[len(in_training) :]) == set(splits.selection)
    assert not reads.of("val")


def test_a_run_that_chooses_on_the_reported_split_says_so(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY, ["retrain.keep=best", "data.selection=0"])
    results = retrain(experiment, BASELINE, tmp_path / "run")
    assert results["selected_on"]["split"] == "val"
    assert results["selected_on"]["scores"] == results["scores"]
    assert set(results["seconds"]) == {"retrain", "evaluate"}


def test_a_sample_that_cannot_be_read_is_replaced_by_one_that_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.load(TINY, ["data.on_corrupt=skip", "data.selection=0.5", "tasks=[semseg, depth]"])
    splits = open_splits(experiment)
    broken = set(splits.weights[::3])
    whole = Rooms.__getitem__

    def damaged(rooms: Rooms, index: int) -> Any:
        if rooms.split == "train" and int(index) in broken:
            raise DataError(f"{index}: damaged")
        return whole(rooms, index)

    monkeypatch.setattr(Rooms, "__getitem__", damaged)
    reads = Reads(monkeypatch)
    loader = training_loader(experiment, splits.train, splits.weights, 4, 20)
    names = {name for batch in loader for name in batch.names}
    used = {int(name.split("_")[1]) for name in names}
    assert used == set(splits.weights) - broken
    assert not reads.of("train") & set(splits.selection)


def test_the_selection_has_a_labelled_sample_of_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a data set of which few images are labelled for depth."""
    monkeypatch.setattr(Rooms, "labelled", lambda rooms, task: [5, 17] if task == "depth" else range(40), raising=False)
    for seed in range(5):
        splits = open_splits(Experiment.load(TINY, [f"seed={seed}"]))
        assert len({5, 17} & set(splits.selection)) == 1
        assert len({5, 17} & set(splits.weights)) == 1


def test_a_selection_sample_that_cannot_be_read_gives_way_to_another_of_the_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.load(TINY, ["data.selection=0.2"])
    broken = open_splits(experiment).selection[0]
    whole = Rooms.__getitem__

    def damaged(rooms: Rooms, index: int) -> Any:
        if rooms.split == "train" and int(index) == broken:
            raise DataError(f"{index}: damaged")
        return whole(rooms, index)

    monkeypatch.setattr(Rooms, "__getitem__", damaged)
    with pytest.raises(DataError, match="damaged"):
        retrain(experiment, BASELINE, tmp_path / "stop")
    results = retrain(experiment.replace(data={"on_corrupt": "skip"}), BASELINE, tmp_path / "skip")
    assert results["selected_on"]["samples"] == 8


def test_a_run_of_a_version_without_a_selection_is_read_as_it_was_made(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    value = Experiment.load(TINY).dump()
    del value["data"]["selection"], value["retrain"]["keep"]
    write_yaml(folder.experiment, value)
    experiment = folder.load_experiment()
    assert (experiment.data.selection, experiment.retrain.keep) == (0, "best")
    write_yaml(folder.experiment, Experiment.load(TINY).dump())
    assert (folder.load_experiment().data.selection, folder.load_experiment().retrain.keep) == (0.1, "last")
