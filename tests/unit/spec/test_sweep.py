"""Overrides of a sweep: those of its own keys, and those that are meant for its experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.sweep import SweepSpec
from tests.conftest import TINY

SWEEP = {"schema": 1, "experiment": "tiny.yaml", "over": {"search.seeds": [1, 2]}, "settings": ["retrain.steps=9"]}


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    Path("sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    return Path("sweep.yaml")


def test_overrides_reach_the_experiment_at_every_point(sweep: Path) -> None:
    spec = SweepSpec.load(sweep, ["search.steps=5", "experiment.seed=7", "seed=3", "launch.engine=processes"])
    assert (spec.seed, spec.launch.engine) == (3, "processes")
    found = [trial.experiment for trial in spec.trials()]
    assert [one.search.seeds for one in found] == [1, 2]
    assert {(one.search.steps, one.seed, one.retrain.steps) for one in found} == {(5, 7, 9)}


def test_a_resumed_sweep_has_them_still(sweep: Path) -> None:
    spec = SweepSpec.load(sweep, ["search.steps=5"])
    again = SweepSpec.load(spec.model_dump(by_alias=True, mode="json"))
    assert again == spec and again.trials()[0].experiment.search.steps == 5


def test_a_point_wins_over_them(sweep: Path) -> None:
    assert SweepSpec.load(sweep, ["search.seeds=3"]).trials()[0].experiment.search.seeds == 1


def test_a_wrong_one_is_told(sweep: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.stepps: unknown key"):
        SweepSpec.load(sweep, ["search.stepps=5"]).trials()
