"""A branched encoder goes through the whole job: search, retraining from the supernet, scores, folders, exported files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from atrcnas import ContextConfig, Experiment, MultiTaskNet, retrain, search
from atrcnas.deploy.job import deploy_run
from atrcnas.engine import evaluate
from atrcnas.engine.networks import load_network
from atrcnas.ground.errors import ConfigError
from atrcnas.runs.folder import RunFolder
from tests.conftest import TINY

TREE = {"stage1": [["semseg"], ["depth"]]}
BRANCHED = ["backbone.name=atrcnas_small", "retrain.inherit=true", f"model.branches={json.dumps(TREE)}"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment, folder = Experiment.load(TINY, BRANCHED), tmp_path_factory.mktemp("branched") / "run"
    with pytest.MonkeyPatch.context() as patch:  # latency is not what is tried here
        patch.setattr(evaluate, "measure_costs", partial(evaluate.measure_costs, repeats=1))
        retrain(experiment, search(experiment, folder), folder)
    return folder


def test_every_file_of_the_run_knows_the_tree(run: Path) -> None:
    contexts = ContextConfig.load(run / "contexts.yaml")
    assert contexts.model.branches == TREE
    assert json.loads((run / "results.json").read_text())["branches"] == TREE
    assert RunFolder(run).load_experiment().model.branches == TREE
    branches = {name.split(".")[2] for name in load_file(run / "model.safetensors") if ".branches." in name}
    assert branches == {"semseg", "depth"}


def test_the_branches_have_learnt_apart(run: Path) -> None:
    state = load_file(run / "model.safetensors")
    first, second = (state[f"backbone.branches.{task}.stage2.0.weight"] for task in ("semseg", "depth"))
    assert not torch.equal(first, second)


def test_its_contexts_bring_the_tree_to_another_experiment(run: Path, tmp_path: Path) -> None:
    experiment = Experiment.load(TINY, ["backbone.name=atrcnas_small", "retrain.steps=1"])
    results = retrain(experiment, ContextConfig.load(run / "contexts.yaml"), tmp_path / "run")
    assert results["branches"] == TREE
    plain = retrain(experiment, ContextConfig.load("baseline"), tmp_path / "plain")
    assert plain["branches"] == {}


def test_a_packed_network_is_the_same_tree(run: Path, tmp_path: Path) -> None:
    MultiTaskNet.from_run(run).save_pretrained(tmp_path / "packed")
    assert ContextConfig.load(tmp_path / "packed/contexts.yaml").model.branches == TREE
    assert "where tasks part (`stage1:semseg|depth`)" in (tmp_path / "packed/README.md").read_text()
    net, loaded = load_network(RunFolder(run)), MultiTaskNet.from_pretrained(tmp_path / "packed")
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected, found = net(image).predictions, loaded(image).predictions
    assert all(torch.equal(found[task], expected[task]) for task in net.tasks)


@pytest.mark.parametrize("name", ["net.pt2", pytest.param("net.onnx", marks=pytest.mark.slow)])
def test_exported_files_compute_the_same(run: Path, tmp_path: Path, name: str) -> None:
    deploy_run(run, [tmp_path / name])
    (file,) = (
        one for one in json.loads((run / "results.json").read_text())["deployed"].values() if one["file"] == name
    )
    assert max(file["differences"].values()) < 1e-4


def test_the_references_json_holds_no_tree(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the reference's JSON holds pairs only"):
        ContextConfig.load(run / "contexts.yaml").save_reference(tmp_path / "contexts.json")


@pytest.mark.parametrize(
    "options",
    [
        ["search.loss_weighting=gradnorm"],
        pytest.param(["search.budget={multiply_adds: 4.0e7}", "search.estimator=paired"], marks=pytest.mark.slow),
    ],
    ids=["gradnorm", "budget"],
)
def test_what_reads_the_backbone_in_a_search_takes_a_tree(tmp_path: Path, options: list[str]) -> None:
    experiment = Experiment.load(TINY, [*BRANCHED, "search.steps=2", *options])
    assert search(experiment, tmp_path / "run").model.branches == TREE
