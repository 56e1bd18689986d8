"""Rows of kinds: what is tried, what is found in planted tables, and the scores by one pass over the selection part."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch

from atrcnas import Experiment
from atrcnas.data.batch import Batch
from atrcnas.engine.networks import supernet
from atrcnas.engine.recalibrate import recalibrate
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import ConfigError
from atrcnas.launch.ask_tell import Sample, Trial, Trials
from atrcnas.launch.journal import Journal
from atrcnas.launch.pool import Local
from atrcnas.launch.row_scores import _measures, validation_losses
from atrcnas.launch.rows import rows
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.spec.recipe import TrialsSpec
from tests.conftest import TINY
from tests.unit.launch.fake import KINDS, POOLS, SCORE, true_rows, true_score

SPACE = {"schema": 1, "pairs": {"default": ["none", "global", "wide", "aspp"], "diagonal": ["none", "local", "tlabel"]}}


def explore(
    folder: Path, number: int, pools: dict[str, tuple[str, ...]], at_once: int = 1, **options: int
) -> list[Trial]:
    heard: list[Trial] = []

    def make(_: int, sample: Sample, *share: float) -> Future[dict[str, Any]]:
        return Local().submit(SCORE, {"sample": dict(sample)})

    trials = Trials(Journal(folder / "trials.jsonl", {"at_once": at_once}), make, number, heard.append)
    rows(pools, trials, TrialsSpec(number=number, **options), 0)
    trials.finish()
    return heard


def row(sample: Sample, target: str) -> dict[str, str]:
    return {pair: kind for pair, kind in sample.items() if pair[0] == target}


@pytest.mark.parametrize("at_once", [1, 3])
def test_all_rows_of_a_small_space_are_tried_once_and_the_best_of_each_target_are_joined(
    at_once: int, tmp_path: Path
) -> None:
    trials = explore(tmp_path, 100, POOLS, at_once)
    assert len(trials) == 64 + 1, "one trial for the rows of three targets, and the answer"
    for target in "abc":
        pairs = [pair for pair in POOLS if pair[0] == target]
        every = [dict(zip(pairs, kinds, strict=True)) for kinds in itertools.product(KINDS, repeat=3)]
        tried = [row(trial.sample, target) for trial in trials[:-1]]
        assert sorted(map(json.dumps, tried)) == sorted(map(json.dumps, every))
        assert row(trials[-1].sample, target) == max(every, key=true_score)


def test_a_target_with_fewer_rows_waits_with_its_best_for_the_others(tmp_path: Path) -> None:
    pools = {"a<-a": KINDS, "a<-b": KINDS, "b<-a": ("none", "local"), "b<-b": ("none",)}
    trials = explore(tmp_path, 30, pools)
    assert len(trials) == 16 + 1
    assert [trial.sample["b<-a"] for trial in trials[2:]] == ["local"] * 15
    assert true_rows(trials[-1].sample)["a"] == max(trial.by_target["a"] for trial in trials)


def test_a_large_space_is_searched_by_evolution_of_each_targets_rows(tmp_path: Path) -> None:
    pools = {f"{target}<-{source}": (*KINDS, "mti") for target in "ab" for source in "uvwxyz"}
    trials = explore(tmp_path, 250, pools, population=20)
    assert len(trials) == 250
    best = {target: max(trial.by_target[target] for trial in trials) for target in "ab"}
    assert min(best.values()) >= 5, "five of six kinds right; of 250 even draws from 15,625 rows 0.4 have as many"
    assert true_rows(trials[-1].sample) == best
    for target in "ab":
        tried = [json.dumps(row(trial.sample, target)) for trial in trials[:-1]]
        assert len(set(tried)) > 0.95 * len(tried)


def test_without_a_selection_part_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.selection: strategy 'rows' scores on the selection part, got 0"):
        Experiment.load(TINY, ["search.strategy=rows", "data.selection=0"])


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment.load({**TINY, "space": SPACE}, ["search.strategy=rows"])


@pytest.fixture
def net(experiment: Experiment) -> MultiTaskNet:
    net = supernet(experiment).double().eval()
    for refiner in net.refiners.values():
        for fuse in refiner.fuse.values():
            torch.nn.init.uniform_(fuse.project.norm.weight)  # which begins at zero: no context would matter
    return net


def halves(experiment: Experiment) -> list[Batch]:
    """Two batches, of 4 and of 3 images."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in (4, 3):
        targets = {
            "semseg": torch.randint(0, 3, (size, 32, 32), generator=generator),
            "depth": torch.rand(size, 1, 32, 32, generator=generator, dtype=torch.float64),
        }
        image = torch.rand(size, 3, 32, 32, generator=generator, dtype=torch.float64)
        valid = {task: torch.ones(size, 32, 32, dtype=torch.bool) for task in targets}
        found.append(Batch(image, None, targets, valid, [str(n) for n in range(size)], [(32, 32)] * size))
    return found


def test_one_pass_gives_every_target_the_loss_of_its_row_alone(experiment: Experiment, net: MultiTaskNet) -> None:
    batches = halves(experiment)
    pools = net.candidates
    objective = Objective(experiment.resolved_tasks())

    def losses(place: int, target: str | None = None) -> dict[str, float]:
        """Of the kinds at one place of each pool; other targets than the one asked for have none."""
        kinds = {
            pair: pool[place % len(pool)] if target in (None, pair.target) else "none" for pair, pool in pools.items()
        }
        mixture = Mixture.one_hot(kinds)
        mixture = Mixture(mixture.pairs, mixture.kinds, mixture.weights.double(), mixture.active)
        recalibrate(net, mixture, batches)
        return validation_losses(net, mixture, objective, batches)

    together = [losses(place) for place in range(4)]
    for task in experiment.tasks:
        alone = [losses(place, task)[task] for place in range(4)]
        assert alone == pytest.approx([found[task] for found in together], rel=1e-6)
        assert len({round(loss, 6) for loss in alone}) == 4, "the row matters"
    assert losses(1) == together[1], "whatever was scored before"


def test_recalibration_puts_the_mean_over_batches_in_place_of_the_supernets_statistics(
    experiment: Experiment, net: MultiTaskNet
) -> None:
    batches = halves(experiment)
    mixture = Mixture.one_hot({pair: pool[1] for pair, pool in net.candidates.items()})
    mixture = Mixture(mixture.pairs, mixture.kinds, mixture.weights.double(), mixture.active)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    norm = net.refiners["4"].fuse["depth"].project.norm
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    recalibrate(net, mixture, batches)
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0))
    changed = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= {"refiners", "heads"}
    assert not any(module.training for module in net.modules()) and norm.momentum == 0.1


def test_rows_are_scored_on_the_selection_part_and_statistics_come_from_the_rest(experiment: Experiment) -> None:
    calibration, selection = (
        [name for batch in part for name in batch.names] for part in _measures(_json(experiment))[:2]
    )
    splits = open_splits(experiment)
    assert selection == [splits.train[index].name for index in splits.selection]
    assert set(calibration) <= {splits.train[index].name for index in splits.weights}
    assert len(calibration) == 32, "eight batches of four"


def _json(experiment: Experiment) -> str:
    return json.dumps(experiment.dump())
