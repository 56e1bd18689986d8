"""`atrcnas retrain --init-reference`: from a checkpoint of the published code, and what is refused."""

from __future__ import annotations

import copy
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from atrcnas.engine import evaluate, stage
from atrcnas.engine.init_reference import read_reference
from atrcnas.engine.training import Training
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair
from tests.conftest import TINY
from tests.e2e.test_command_line import atrcnas, refused
from tests.parity.published import State, predict, randomise, state_of

ORDER = ["normals", "depth", "semseg"]  # not the experiment's, as a published checkpoint's need not be
CODES = {"normals": [3, 4, 2], "depth": [1, 0, 2], "semseg": [4, 1, 3]}
KINDS = ["none", "global", "local", "tlabel", "slabel"]
KIND_OF = {Pair(target, ORDER[i]): KINDS[code] for target, row in CODES.items() for i, code in enumerate(row)}
EXPERIMENT = TINY | {
    "tasks": ["semseg", "depth", "normals"],
    "backbone": {"name": "hrnet_w18_small_v2"},
    "model": {},
    "retrain": {"steps": 1, "batch_size": 2, "validate_every": 1, "log_every": 1},
}
RETRAIN = ("retrain", "tiny.yaml", "--contexts", "genotype.json", "--run", "run", "--init-reference", "published.ckpt")


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def no_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not what is tried here, and take most of the time."""
    costs = {"parameters": 1, "multiply_adds": 1, "latency_ms": {"median": 1.0}}
    monkeypatch.setattr(evaluate, "measure_costs", lambda net, size: costs)


@pytest.fixture(scope="module")
def state() -> State:
    experiment = Experiment.load(EXPERIMENT)
    tasks = experiment.resolved_tasks()
    net = MultiTaskNet(
        {name: tasks[name] for name in ORDER}, {pair: (kind,) for pair, kind in KIND_OF.items()}, experiment.backbone
    )
    randomise(net, seed=5)
    made = state_of(net, ORDER)
    made["criterion.loss_dict.normals.aux.centroids"] = torch.nn.functional.normalize(torch.randn(40, 3), dim=1)
    return made


@pytest.fixture
def home(tmp_path: Path, state: State) -> Path:
    """A folder with an experiment, a context config in the reference's form, and a checkpoint as Lightning 1.1 has it."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    data = {target: dict(zip(ORDER, row, strict=True)) for target, row in CODES.items()}
    (tmp_path / "genotype.json").write_text(json.dumps({"data": data, "step": 40000}))
    callbacks = {pl.callbacks.ModelCheckpoint: {"monitor": None, "best_model_score": None}}
    checkpoint = {"epoch": 3, "global_step": 40000, "state_dict": OrderedDict(state), "callbacks": callbacks}
    torch.save(checkpoint, tmp_path / "published.ckpt")
    return tmp_path


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Copies of what is about to be trained."""
    seen: list[SimpleNamespace] = []
    train = stage.train

    def watched(training: Training, *rest: Any) -> None:
        seen.append(
            SimpleNamespace(net=copy.deepcopy(training.weights.net), objective=copy.deepcopy(training.objective))
        )
        train(training, *rest)

    monkeypatch.setattr(stage, "train", watched)
    return seen


def test_training_starts_from_the_published_networks_predictions(
    home: Path, state: State, first: list[SimpleNamespace]
) -> None:
    done = atrcnas(home, *RETRAIN)
    assert done.returncode == 0, done.stderr
    (training,) = first
    image = torch.rand(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        ours = training.net.double().eval()(image).predictions
    theirs = predict(state, KIND_OF, ORDER, image)
    for task in ORDER:
        assert theirs[task].std() > 1e-3
        torch.testing.assert_close(ours[task], theirs[task], rtol=0.0, atol=1e-9)
    centroids = state["criterion.loss_dict.normals.aux.centroids"]
    torch.testing.assert_close(training.objective.labels_normals, centroids.float())
    kept = yaml.safe_load((home / "run/experiment.yaml").read_text())["backbone"]
    assert (kept["upsample"], kept["weights"]) == ("bilinear", "none")
    assert (home / "run/results.json").is_file()


def test_a_resumed_run_is_one_with_the_same_start(home: Path) -> None:
    assert atrcnas(home, *RETRAIN).returncode == 0
    before = (home / "run/model.safetensors").read_bytes()
    assert "already" in refused(home, *RETRAIN)
    assert "differs in backbone.upsample (" in refused(home, *RETRAIN[:-2], "--resume")
    assert atrcnas(home, *RETRAIN, "--resume").returncode == 0
    assert (home / "run/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("wrapped", ["model.", "module.model."])
def test_a_bare_state_dict_with_wrappers_names_is_read(home: Path, state: State, wrapped: str) -> None:
    torch.save({wrapped + key: value for key, value in state.items()}, home / "published.ckpt")
    read = read_reference(home / "published.ckpt")
    assert list(read) == list(state)


def test_a_file_that_would_run_code_is_refused_unread(home: Path, state: State) -> None:
    for forged in (Payload(home / "made"), {"state_dict": state, "callbacks": {0: Payload(home / "made")}}):
        torch.save(forged, home / "published.ckpt")
        message = refused(home, *RETRAIN)
        assert f"{os.mkdir.__module__}.mkdir" in message and "would have to execute" in message
        assert not (home / "made").exists()


def test_files_that_are_not_checkpoints_get_one_message_and_leave_no_run(home: Path, state: State) -> None:
    path = home / "published.ckpt"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "published.ckpt: not a readable checkpoint" in refused(home, *RETRAIN)
    path.write_bytes(b"no pickle at all")
    assert "published.ckpt: not a readable checkpoint (damaged, or not written by" in refused(home, *RETRAIN)
    torch.save({"optimizer": 1, "epoch": 2}, path)
    assert "expected a state dict" in refused(home, *RETRAIN)
    path.unlink()
    assert "published.ckpt: no such checkpoint" in refused(home, *RETRAIN)
    assert not (home / "run/retrain").exists() and not (home / "run/experiment.yaml").exists()


def test_missing_names_and_another_architecture_are_reported(home: Path, state: State) -> None:
    message = refused(home, *RETRAIN, "backbone.name=mobilenetv3_small_050")
    assert "published.ckpt: reference weights: of " in message
    assert "missing (backbone.conv_stem.weight, " in message and "unexpected (backbone.conv1.weight, " in message
    torch.save(
        {"state_dict": {key: value for key, value in state.items() if "aux_" not in key}}, home / "published.ckpt"
    )
    message = refused(home, *RETRAIN)
    assert "missing (head.aux_conv." in message and "unexpected" not in message
    state = state | {"criterion.loss_dict.normals.aux.centroids": torch.zeros(20, 3)}
    torch.save({"state_dict": state}, home / "published.ckpt")
    assert "expected (40, 3), got (20, 3)" in refused(home, *RETRAIN)


def test_weights_from_two_places_are_refused(home: Path) -> None:
    assert "retrain.inherit" in refused(home, *RETRAIN, "retrain.inherit=true")
