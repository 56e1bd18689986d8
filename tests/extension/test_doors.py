"""One file outside of the package adds one of everything (plugin/toys.py); the whole job runs with all of it together."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm.models._registry as timm_registry
import yaml
from PIL import Image
from pydantic import BaseModel

from atrcnas.cli import app
from atrcnas.deploy.formats import DEPLOY_FORMATS, format_of
from atrcnas.ground.errors import AtrcnasError, ConfigError
from atrcnas.ground.registry import Registry, load_plugins
from atrcnas.nn.backbone import Backbone
from atrcnas.plots import PLOTS
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.loggers import LOGGERS
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES
from atrcnas.spec.tasks import TASKS

# What the plugin adds to each registry.
DOORS: dict[str, Registry[Any]] = {
    "mean": KINDS,
    "disparity": TASKS,
    "huber": LOSSES,
    "outliers": METRICS,
    "ranks": LABEL_ENCODERS,
    "softplus": DECODERS,
    "stripes": DATASETS,
    "in-order": STRATEGIES,
    "even": ESTIMATORS,
    "sign": OPTIMIZERS,
    "stair": SCHEDULES,
    "share": LOSS_WEIGHTINGS,
    "notes": LOGGERS,
    ".toy": DEPLOY_FORMATS,
    "rates": PLOTS,
}
TOYS: dict[str, Any] = {
    "schema": 1,
    "name": "toys",
    "plugins": ["toys"],
    "tasks": ["semseg", "disparity"],
    "task_options": {"disparity": {"beta": 0.1, "limit": 1.0}},
    "data": {"name": "stripes", "augment": None, "options": {"num_samples": 4}},
    "backbone": {"name": "toy_resnet"},
    "model": {"width": 8},
    "space": {"schema": 1, "pairs": {"default": ["mean", "tlabel"], "semseg<-disparity": ["mean"]}},
    "loggers": {"notes": {"file": "my_notes.txt"}},
    "search": {
        "strategy": "in-order",
        "trials": {"number": 2, "steps": 2},
        "estimator": "even",
        **{"steps": 2, "batch_size": 2, "validate_every": 1, "log_every": 1},
    },
    "retrain": {
        "optimizer": "sign",
        "optimizer_options": {"shrink": 0.01},
        "schedule": "stair",
        "schedule_options": {"stairs": 4},
        "loss_weighting": "share",
        "loss_weighting_options": {"first": 0.25},
        **{"steps": 4, "batch_size": 2, "validate_every": 2, "log_every": 1, "learning_rate": 0.001},
    },
}


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    """Let it be found by name, as PYTHONPATH would; afterwards the registries are as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent / "plugin")
        yield
    forget_plugin()


def forget_plugin() -> None:
    for name, registry in DOORS.items():
        registry._records.pop(name, None)
    timm_registry._model_entrypoints.pop("toy_resnet", None)
    sys.modules.pop("toys", None)


def atrcnas(*arguments: str) -> None:
    """Run a command as in a process of its own, which has to import the plugin itself."""
    forget_plugin()
    app(list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the whole job has been done, with everything the plugin adds."""
    folder = tmp_path_factory.mktemp("toys")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        do_the_whole_job()
    return folder


def do_the_whole_job() -> None:
    Path("toys.yaml").write_text(yaml.safe_dump(TOYS))
    Image.fromarray(np.full((32, 64, 3), 200, np.uint8)).save("photo.png")
    # Any other estimator would let every pair commit after the first step.
    atrcnas("search", "toys.yaml", "--run", "by_gradient", "search.strategy=gumbel", "search.commit_gap=1e-9")
    atrcnas("search", "toys.yaml", "--run", "run")
    atrcnas("export", "run", "--out", "exported.yaml")
    atrcnas("retrain", "toys.yaml", "--contexts", "exported.yaml", "--run", "run")
    atrcnas("evaluate", "run")
    atrcnas("plot", "run")
    atrcnas("deploy", "run", "--out", "net.toy")
    atrcnas("compare", "run", "--out", "table.csv")
    atrcnas("predict", "run", "photo.png", "--out", "of_the_run")
    atrcnas("predict", "net.toy", "photo.png", "--out", "predictions", "--plugin", "toys")


def test_the_whole_job_runs_with_everything_a_plugin_adds(folder: Path) -> None:
    exported = yaml.safe_load((folder / "exported.yaml").read_text())
    assert exported["pairs"]["semseg"]["disparity"] == "mean"
    assert exported["provenance"]["strategy"] == "in-order"
    results = json.loads((folder / "run/results.json").read_text())
    assert results["scores"]["disparity"].keys() == {"outliers"}
    assert set(results["costs"]["latency_ms_deployed"]) == {"toy runtime"}
    for made in ("contexts.png", "scores.png", "gallery.png", "rates.png"):
        assert (folder / "run/plots" / made).stat().st_size > 0, made
    predicted = np.load(folder / "predictions/photo.npz")["disparity"]
    assert predicted.shape == (32, 64)
    np.testing.assert_allclose(predicted, np.load(folder / "of_the_run/photo.npz")["disparity"], rtol=1e-4)
    assert "outliers" in (folder / "table.csv").read_text()
    assert (predicted > 0).all()  # as the decoder has it
    rates = pd.read_csv(folder / "run/retrain/metrics.csv").query("name == 'learning_rate'")["value"]
    assert rates.tolist() == [0.001, 0.00075, 0.0005, 0.00025]
    logged = pd.read_csv(folder / "run/retrain/metrics.csv").query("step == 1 and name == 'loss'")
    loss = logged.fillna({"task": "total"}).set_index("task")["value"]
    assert loss["total"] == pytest.approx(0.25 * loss["semseg"] + 0.75 * loss["disparity"], rel=1e-4)


def test_a_search_by_gradient_draws_as_the_plugin_says_and_is_shown_in_its_logger(folder: Path) -> None:
    notes = [line.split() for line in (folder / "by_gradient/my_notes.txt").read_text().splitlines()]
    assert [step for step, name, _ in notes if name == "search/train/disparity/loss"] == ["1", "2"]
    assert [value for _, name, value in notes if name == "search/contexts"] == ["contexts.png"] * 2
    logged = {(step, name): float(value) for step, name, value in notes if name != "search/contexts"}
    assert logged["2", "search/train/committed_share"] == 0.25  # the one pair of four without a choice
    assert 0 <= logged["2", "search/val/disparity/outliers"] <= 1
    trials = (folder / "run/my_notes.txt").read_text()
    assert "2 search/trial/best" in trials
    assert not list(folder.glob("run/search/trials/*/my_notes.txt"))
    assert "4 retrain/train/semseg/loss" in trials


@pytest.mark.parametrize("name", [name for name, registry in DOORS.items() if registry is not PLOTS])
def test_what_no_plugin_adds_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Experiment.load(TOYS)
    registry = DOORS[name]
    monkeypatch.delitem(registry._records, name)
    with pytest.raises(AtrcnasError, match=f"unknown {registry.noun} '{name}'"):
        Experiment.load(TOYS)
        format_of(Path("net.toy"))


def test_a_backbone_that_no_plugin_adds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load_plugins(["toys"])
    assert list(Backbone("toy_resnet").widths.values()) == [8, 8, 16, 16]
    monkeypatch.delitem(timm_registry._model_entrypoints, "toy_resnet")
    with pytest.raises(ConfigError, match="no model 'toy_resnet'"):
        Backbone("toy_resnet")


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        ("disparity", {"beta": 0}, "task_options.disparity.beta: expected greater than 0, got 0"),
        ("disparity", {"beta": "much"}, "task_options.disparity.beta: expected a number, got 'much'"),
        ("disparity", {"limti": 1.0}, "task_options.disparity.limti: unknown key. Did you mean 'limit'?"),
        ("semseg", {"beta": 0.1}, "task_options.semseg.beta: unknown key"),
        ("optimizer", {"shrink": 1}, "retrain: optimizer_options.shrink: expected less than 1, got 1"),
        ("schedule", {"stiars": 2}, "retrain: schedule_options.stiars: unknown key. Did you mean 'stairs'?"),
        (
            "loss_weighting",
            {"first": 2},
            "retrain: loss_weighting_options.first: expected less than or equal to 1, got 2",
        ),
        ("loggers", {"fiel": "x"}, "loggers.notes.fiel: unknown key. Did you mean 'file'?"),
        ("data", {"num_samples": "4"}, "data.options.num_samples: expected an integer, got '4'"),
        ("data", {"num_smaples": 4}, "data.options.num_smaples: unknown key. Did you mean 'num_samples'?"),
    ],
)
def test_options_that_a_plugin_declares_are_checked(section: str, options: dict[str, Any], message: str) -> None:
    own = {
        "data": {"data": {**TOYS["data"], "options": options}},
        "loggers": {"loggers": {"notes": options}},
        "optimizer": {"retrain": {**TOYS["retrain"], "optimizer_options": options}},
        "loss_weighting": {"retrain": {**TOYS["retrain"], "loss_weighting_options": options}},
        "schedule": {"retrain": {**TOYS["retrain"], "schedule_options": options}},
    }
    with pytest.raises(ConfigError) as caught:
        Experiment.load({**TOYS, **own.get(section, {"task_options": {section: options}})})
    assert message in str(caught.value)


def test_options_of_a_data_set_that_let_unknown_keys_pass_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loose(BaseModel):
        num_samples: int = 4

    Experiment.load(TOYS)
    monkeypatch.setattr(DATASETS["stripes"].source, "Options", Loose)
    with pytest.raises(ConfigError, match="the options of 'stripes' let unknown keys pass"):
        Experiment.load(TOYS)


def test_options_of_a_task_reach_its_loss_and_metric() -> None:
    task = Experiment.load(TOYS).resolved_tasks()["disparity"]
    assert (dict(task.loss_options), dict(task.metric_options)) == ({"beta": 0.1}, {"limit": 1.0})
    assert METRICS["outliers"].build(task).limit == 1.0
    of_its_own = Experiment.load({**TOYS, "task_options": {}}).resolved_tasks()["disparity"]
    assert (of_its_own.loss_options["beta"], of_its_own.metric_options["limit"]) == (0.5, 2.0)


def test_lists_show_what_a_plugin_adds(capsys: pytest.CaptureFixture[str]) -> None:
    atrcnas("list", "tasks", "--plugin", "toys")
    printed = capsys.readouterr().out
    assert "disparity: shift between two views, pixels; outliers (lower is better)" in printed
    assert "    beta: difference from which the loss is linear [0.5]" in printed
