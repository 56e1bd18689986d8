"""A run that died goes on to the same files, bit for bit, as one that was never interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.search import SearchTraining
from atrcnas.engine.training import Training
from atrcnas.ground.errors import RunError
from tests.conftest import TINY


class Died(Exception):
    """Stands in for a kill between two checkpoints."""


def dies_at(monkeypatch: pytest.MonkeyPatch, kind: type[Training], step: int) -> None:
    whole = kind.training_step

    def training_step(self: Training, batch: object, batch_idx: int) -> None:
        if batch_idx == step:
            raise Died
        whole(self, batch, batch_idx)

    monkeypatch.setattr(kind, "training_step", training_step)


def same_files(first: Path, second: Path, names: list[str]) -> None:
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["search.estimator=sampled", "search.held_out=0.5"],
        ["search.noise=false", "search.commit_gap=0.01"],
    ],
    ids=["soft", "sampled, bi-level", "without noise, committing"],
)
def test_a_search_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    experiment = Experiment.load(TINY, options)
    whole = search(experiment, tmp_path / "whole")
    with monkeypatch.context() as patch:
        dies_at(patch, SearchTraining, 4)
        with pytest.raises(Died):
            search(experiment, tmp_path / "cut")
    assert search(experiment, tmp_path / "cut", resume=True) == whole
    states = [read_checkpoint(tmp_path / name / "search/checkpoints/last.ckpt") for name in ("whole", "cut")]
    for key, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][key]), key
    same_files(tmp_path / "whole", tmp_path / "cut", ["search/metrics.csv", "search/logits.csv", "contexts.yaml"])


def test_a_retraining_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, contexts = Experiment.load(TINY), ContextConfig.load("uniform-tlabel")
    whole = retrain(experiment, contexts, tmp_path / "whole")
    with monkeypatch.context() as patch:
        dies_at(patch, Training, 3)
        with pytest.raises(Died):
            retrain(experiment, contexts, tmp_path / "cut")
    again = retrain(experiment, contexts, tmp_path / "cut", resume=True)
    assert again["scores"] == whole["scores"]
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "cut/model.safetensors").read_bytes()
    same_files(tmp_path / "whole", tmp_path / "cut", ["retrain/metrics.csv"])


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY)
    contexts = search(experiment, tmp_path / "run")
    results = retrain(experiment, contexts, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    assert search(experiment, tmp_path / "run", resume=True) == contexts
    assert retrain(experiment, contexts, tmp_path / "run", resume=True)["scores"] == results["scores"]
    same_files(
        tmp_path / "before", tmp_path / "run", ["search/metrics.csv", "search/logits.csv", "retrain/metrics.csv"]
    )


def test_the_last_checkpoint_is_the_last_whatever_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.9, 0.1])
    monkeypatch.setattr("atrcnas.engine.training.selection_score", lambda *_: next(scores))
    search(Experiment.load(TINY), tmp_path / "run")
    folder = tmp_path / "run/search/checkpoints"
    steps = [
        read_checkpoint(folder / name)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"]
        for name in ("best.ckpt", "last.ckpt")
    ]
    assert steps == [3, 6]


def test_another_context_config_does_not_enter_a_searched_run(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY)
    search(experiment, tmp_path / "run")
    with pytest.raises(RunError, match="another context config"):
        retrain(experiment, ContextConfig.load("uniform-global"), tmp_path / "run")


def test_another_experiment_does_not_resume_a_run(tmp_path: Path) -> None:
    search(Experiment.load(TINY), tmp_path / "run")
    with pytest.raises(RunError, match="differs in"):
        search(Experiment.load(TINY, ["search.learning_rate=0.5"]), tmp_path / "run", resume=True)


def test_a_fixed_network_inherits_the_supernets_weights(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY, ["retrain.inherit=true", "retrain.steps=1", "retrain.learning_rate=1e-12"])
    contexts = search(experiment, tmp_path / "run")
    retrain(experiment, contexts, tmp_path / "run")
    given = read_checkpoint(tmp_path / "run/search/checkpoints/last.ckpt")["state_dict"]
    own = read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")["state_dict"]
    stems = [key for key in own if key.startswith("net.stems") and key.endswith("weight")]
    assert stems
    for key in stems:
        torch.testing.assert_close(own[key], given[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "override", ["tasks=[depth]", "space={pairs: {default: [none, local]}}", "tasks=[edge,sal,depth]"]
)
def test_fewer_kinds_or_other_tasks_change_only_the_experiment(tmp_path: Path, override: str) -> None:
    experiment = Experiment.load(TINY, [override, "search.steps=2"])
    contexts = search(experiment, tmp_path / "run")
    assert {pair.target for pair in contexts.kinds(experiment.tasks)} == set(experiment.tasks)
