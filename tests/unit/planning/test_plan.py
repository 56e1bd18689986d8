"""A plan by hand: what its figures are made of, against counts that do not use its code."""

from __future__ import annotations

import copy
import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from atrcnas.data.order import StepBatches
from atrcnas.engine.devices import connect
from atrcnas.ground.errors import ConfigError
from atrcnas.planning import job, stages
from atrcnas.planning.cheaper import savings
from atrcnas.planning.job import COMMITTED, cached_reads, plan
from atrcnas.planning.lines import duration, lines
from atrcnas.planning.memory import forget_peak, peak_bytes
from atrcnas.planning.stages import StageCost, even_mix
from atrcnas.planning.timing import SaveTimes, StepTimes
from atrcnas.spec.experiment import Experiment
from tests.conftest import TINY
from tests.e2e.test_command_line import atrcnas, refused

STEP, SETTLED, IMAGE, ALONE, READ = 0.5, 0.3, 0.02, 0.04, 0.01


SMALL = {
    "data": {"options": {"image_size": [64, 64], "train_size": 8, "val_size": 1}},
    "backbone": {"name": "test_resnet", "weights": "none"},
    "search": {"batch_size": 2},
    "retrain": {"batch_size": 2},
}


class Sized(list[int]):
    """Splits with as many samples as the parts say."""

    def __init__(self, weights: int, choosing: int, val: int) -> None:
        self.weights, self.selection, self.val = range(weights), range(choosing), range(val)
        self.choosing = (None, self.selection)


def cost(weights: int = 36) -> StageCost:
    return StageCost(
        setup_s=2.0,
        step=StepTimes(STEP, 0.1, (4, 3, 64, 96)),
        settled_s=SETTLED,
        image_s=IMAGE,
        alone_s=ALONE,
        read_s=READ,
        sample_bytes=2**20,
        save=SaveTimes(0.2, 3 * 2**20),
        peak_bytes=100 * 2**20,
        parameters=1000,
        multiply_adds=7,
        splits=Sized(weights, 4, 10),  # type: ignore[arg-type]
    )


def tiny(**sections: Any) -> Experiment:
    return Experiment.load({**copy.deepcopy(TINY), "devices": "cpu"}).replace(**sections)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that cost what :func:`cost` says."""
    for name in ("search_cost", "retrain_cost"):
        monkeypatch.setattr(job, name, lambda *_: cost())
    monkeypatch.setattr(job, "inference_cost", lambda _: (900, 5, (64, 96)))


@pytest.mark.usefixtures("made_up")
def test_the_job_is_the_sum_of_its_steps_validations_and_checkpoints() -> None:
    found = plan(tiny(search={"steps": 100, "validate_every": 40}, retrain={"steps": 50, "validate_every": 50}))
    validation = 4 * (IMAGE + READ) + 0.2
    search_s = 2.0 + 100 * ((1 - COMMITTED) * STEP + COMMITTED * SETTLED) + 3 * validation
    retrain_s = 2.0 + 50 * STEP + 1 * validation
    assert found.search is not None
    assert found.search.seconds == pytest.approx(search_s)
    assert found.retrain.seconds == pytest.approx(retrain_s)
    assert found.seconds == pytest.approx(search_s + retrain_s + found.evaluate_s)
    assert found.evaluate_s >= (10 + 4) * ALONE
    assert found.disk_mib == pytest.approx(2 * 3 + 2 * 3, rel=0.05)


def test_a_search_of_branches_is_planned_before_that_of_contexts_on_the_largest_tree(
    monkeypatch: pytest.MonkeyPatch, made_up: None
) -> None:
    seen: dict[str, list[Experiment]] = {"search_cost": [], "retrain_cost": []}
    for name, experiments in seen.items():
        monkeypatch.setattr(job, name, lambda experiment, *_, seen=experiments: seen.append(experiment) or cost())
    search = {"steps": 100, "validate_every": 40, "branches": {"steps": 10, "points": ["stage4", "stage3"]}}
    found = plan(tiny(search=search))
    assert found.branches is not None and found.search is not None
    assert (found.branches.steps, found.search.steps) == (10, 100)
    assert found.seconds == pytest.approx(
        found.branches.seconds + found.search.seconds + found.retrain.seconds + found.evaluate_s
    )
    apart = {"stage3": [["semseg"], ["depth"]]}
    assert [experiment.model.branches for experiment in seen["search_cost"]] == [{}, apart]
    assert [experiment.model.branches for experiment in seen["retrain_cost"]] == [apart]
    at_once = plan(tiny(search={**search, "branches": {"contexts": "together"}}))
    assert at_once.branches is None and at_once.search is not None


@pytest.mark.usefixtures("made_up")
def test_loader_processes_read_validation_images_meanwhile() -> None:
    recipe = {"steps": 50, "validate_every": 50}
    for workers, image_s in ((0, IMAGE + READ), (256, IMAGE)):
        found = plan(tiny(retrain=recipe, data={"workers": workers})).retrain
        assert found.validating_s == pytest.approx(4 * image_s + 0.2)


@pytest.mark.usefixtures("made_up")
def test_seeds_and_trials_are_counted() -> None:
    once, twice = (plan(tiny(search={"seeds": seeds, "steps": 100})).search for seeds in (1, 2))
    assert once and twice and twice.seconds == pytest.approx(2 * once.seconds)
    trials = {"strategy": "random", "trials": {"number": 20, "steps": 30}}
    found = plan(tiny(search=trials))
    assert found.search is None
    assert 20 * 30 * STEP < found.trials_s < 20 * (30 * STEP + 10)
    assert plan(tiny(search=trials, launch={"engine": "processes", "workers": 4})).trials_s == pytest.approx(
        found.trials_s / 4
    )
    by_supernet = plan(tiny(search={"strategy": "oneshot-random", "trials": {"number": 20}}))
    assert by_supernet.search is not None and by_supernet.trials_s == pytest.approx(20 * 4 * (ALONE + READ))


def test_reads_from_memory_are_those_that_the_order_of_the_samples_repeats() -> None:
    experiment = tiny(retrain={"steps": 25, "batch_size": 4})
    drawn = [index for index, _ in chain.from_iterable(StepBatches(range(36), 4, 25, seed=0))]
    repeats = len(drawn) - len(set(drawn))
    assert cached_reads(experiment, cost(), experiment.retrain, math.inf) == repeats == 64
    assert cached_reads(experiment, cost(), experiment.retrain, 18.0) == repeats / 2
    assert cached_reads(experiment, cost(), experiment.retrain, 0.0) == 0
    few = experiment.replace(retrain={"steps": 5})
    assert cached_reads(few, cost(), few.retrain, math.inf) == 0


def test_a_search_of_branches_is_tried_as_it_is_after_its_warm_up(steps_taken: list[int]) -> None:
    """When each task goes through every copy; in the warm-up it goes through its own."""
    branches = {"contexts": "none", "estimator": "soft", "warm_up": 0.5}
    found = {}
    for estimator in ("soft", "sampled"):  # which goes through one copy for each task throughout
        recipe = {"batch_size": 2, "branches": {**branches, "estimator": estimator}}
        spec = tiny(**{**SMALL, "search": recipe})
        found[estimator] = stages.search_cost(spec, connect(spec), 0.0)
        assert found[estimator].multiply_adds == pytest.approx(max(steps_taken), rel=0.1)
        assert min(steps_taken) == max(steps_taken)
        steps_taken.clear()
    assert found["soft"].multiply_adds > 1.2 * found["sampled"].multiply_adds


def test_multiply_adds_by_shapes_are_those_of_a_real_step(steps_taken: list[int]) -> None:
    experiment = tiny(**SMALL)
    fabric = connect(experiment)
    for measure in (stages.search_cost, stages.retrain_cost):
        steps_taken.clear()
        found = measure(experiment, fabric, 0.0)
        assert found.multiply_adds == pytest.approx(steps_taken[0], rel=0.25)
        assert found.step.shape == (2, 3, 64, 64)
        assert found.image_s > 0 and found.read_s > 0 and found.save.num_bytes > 4 * found.parameters
    assert set(even_mix(experiment).values()) >= {"none", "local", "global"}


def test_the_command_prints_a_table_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BUDGET_S", 0.0)
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny(**SMALL).dump()))
    done = atrcnas(tmp_path, "plan", "tiny.yaml", "--json", "devices=cpu")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"] > found["search"]["seconds"] > 0 and found["peak_mib"] > 50
    assert found["image_size"] == [64, 64] and found["retrain"]["steps"] == 4
    assert not (tmp_path / "runs").exists(), "a plan writes nothing"
    assert "devices: a plan runs on one device" in refused(tmp_path, "plan", "tiny.yaml", "devices=2")


@pytest.mark.usefixtures("made_up")
def test_what_would_be_cheaper_is_named_with_its_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny(
        search={"estimator": "soft", "steps": 1000, "validate_every": 2}, retrain={"steps": 1000, "validate_every": 500}
    )
    found = plan(experiment)
    monkeypatch.setattr(job, "search_cost", lambda *_: half())
    named = {one.overrides: one for one in savings(experiment, found, 0.0)}
    assert named["search.estimator=paired"].seconds > 0
    assert named["data.cache_mib=36"].seconds == pytest.approx(2 * (4000 - 36) * READ)
    assert named["search.validate_every=4"].seconds == pytest.approx(250 * (4 * (IMAGE + READ) + 0.2))
    assert named["search.steps=500"].seconds > 0
    for text in named:  # each can be given as it stands
        Experiment.load({**copy.deepcopy(TINY)}, [text])
    shown = "\n".join(lines(found, list(named.values())))
    assert "the whole job" in shown and "data.cache_mib=36" in shown


def half() -> StageCost:
    whole = cost()
    return StageCost(**{**vars(whole), "step": StepTimes(STEP / 2, 0.05, whole.step.shape), "settled_s": SETTLED / 2})


def test_a_peak_is_that_of_the_work_since_it_was_forgotten() -> None:
    device = torch.device("cpu")
    forget_peak(device)
    before = peak_bytes(device)
    block = torch.ones(64 * 2**20 // 4)
    del block
    assert 60 * 2**20 < peak_bytes(device) - before < 100 * 2**20
    forget_peak(device)
    assert peak_bytes(device) - before < 30 * 2**20


@pytest.mark.parametrize(("seconds", "said"), [(0.0123, "12 ms"), (3.44, "3.4 s"), (290, "5 min"), (9000, "2.5 h")])
def test_durations_are_in_the_unit_that_suits_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_several_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="a plan runs on one device"):
        plan(tiny(devices=2))
