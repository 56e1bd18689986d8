"""Training and scoring where images are labelled for some of the tasks only."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.dataset_files import write_folder
from atrcnas import ContextConfig, Experiment, retrain
from atrcnas.data.loading import open_source
from atrcnas.data.rooms import Rooms
from atrcnas.engine.label_states import label_states
from atrcnas.runs.results import read_results

STEPS = 8


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Every training image is labelled for one task alone, and of each task one validation image is not."""
    root = tmp_path_factory.mktemp("partial")
    tasks = Rooms.all_tasks
    for split, size in (("train", len(tasks)), ("val", 2)):
        options = Rooms.Options(image_size=(64, 96), train_size=size, val_size=size)
        write_folder(Rooms(options, split, tasks), root, split)  # type: ignore[arg-type]
        for number, task in enumerate(tasks):
            files = sorted((root / split / task).iterdir())
            gone = [files[number % 2]] if split == "val" else [*files[:number], *files[number + 1 :]]
            for path in gone:
                path.unlink()
    recipe = {"steps": STEPS, "batch_size": 1, "validate_every": STEPS, "log_every": 1}
    options = {"root": str(root), "partial": True, "classes": {"semseg": 15, "human_parts": 7}}
    return Experiment.load(
        {
            "tasks": list(tasks),
            "data": {"name": "folder", "options": options, "augment": None, "labelled_batches": False, "selection": 0},
            "backbone": {"name": "mobilenetv3_small_050"},
            "model": {"width": 16},
            "retrain": recipe,
            "devices": "cpu",
        }
    )


def test_an_unlabelled_task_costs_nothing_and_scores_count_what_is_labelled(spec: Experiment, tmp_path: Path) -> None:
    retrain(spec, ContextConfig.load("baseline"), tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run/retrain/metrics.csv").query("stage == 'train' and name == 'loss'")
    losses = rows.dropna(subset=["task"]).pivot(index="step", columns="task", values="value")
    assert losses.shape == (STEPS, len(Rooms.all_tasks))
    assert ((losses != 0).sum(axis=1) == 1).all(), "of the image's own task alone"
    assert len(set(losses.idxmax(axis=1))) == len(Rooms.all_tasks)
    scores = read_results(tmp_path / "run")["scores"]
    assert set(scores) == set(Rooms.all_tasks)
    assert all(math.isfinite(value) for figures in scores.values() for value in figures.values())


def test_directions_are_fitted_to_the_labelled_images(spec: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atrcnas.engine.label_states.NUM_SAMPLES", 1)
    (state,) = label_states(spec, open_source(spec, "train")).values()
    assert state.shape == (40, 3)
