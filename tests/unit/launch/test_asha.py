"""Successive halving: who goes on, by the rule and on a table; real trainings that pause, die and go on."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from atrcnas import Experiment
from atrcnas.ground.errors import Stopped
from atrcnas.launch.asha import Ladder, asha
from atrcnas.launch.ask_tell import Sample, Trial, Trials
from atrcnas.launch.journal import Journal
from atrcnas.launch.run_trial import train
from atrcnas.launch.search import search
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import TrialsSpec
from tests.conftest import TINY
from tests.unit.launch.fake import POOLS, true_score

QUARTER, HALF, WHOLE = SHARES = (0.25, 0.5, 1.0)


def heard(number: int, score: float, share: float) -> Trial:
    return Trial(number, {"a<-a": str(number)}, score, 1, 1.0, 0, share=share)


def going_on(ladder: Ladder, least: int = 0) -> tuple[str, float] | None:
    found = ladder.promotion(least)
    return None if found is None else (found[0]["a<-a"], found[1])


def test_the_better_half_of_those_that_came_as_far_goes_on_once_and_far_ones_first() -> None:
    ladder = Ladder(SHARES)
    ladder.hear([heard(0, 5.0, QUARTER)])
    assert going_on(ladder) is None, "half of one is none"
    ladder.hear([heard(1, 7.0, QUARTER)])
    assert going_on(ladder) == ("1", HALF)
    assert going_on(ladder) is None
    ladder.hear([heard(2, 9.0, QUARTER), heard(3, 1.0, QUARTER)])
    assert going_on(ladder) == ("2", HALF)
    ladder.hear([heard(1, 8.0, HALF), heard(2, 6.0, HALF), heard(4, 8.0, QUARTER), heard(5, 0.0, QUARTER)])
    assert going_on(ladder) == ("1", WHOLE), "before config 4, which only goes on to the half"
    assert going_on(ladder) == ("4", HALF)
    assert going_on(ladder) is None


def test_a_score_that_is_not_a_number_is_the_worst() -> None:
    ladder = Ladder(SHARES)
    ladder.hear([heard(0, float("nan"), QUARTER), heard(1, -7.0, QUARTER), heard(2, float("nan"), QUARTER)])
    assert going_on(ladder) == ("1", HALF)


def test_at_the_end_the_best_of_each_share_goes_on_however_few_there_are() -> None:
    ladder = Ladder(SHARES)
    ladder.hear([heard(0, 5.0, QUARTER)])
    assert going_on(ladder, least=1) == ("0", HALF)
    assert going_on(ladder, least=1) is None
    ladder.hear([heard(0, 6.0, HALF)])
    assert going_on(ladder, least=1) == ("0", WHOLE)


class NoLocal:
    """Limits that `local` exceeds."""

    def nearest(self, kinds: dict[Pair, str], pools: object) -> dict[Pair, str]:
        return {pair: "none" if kind == "local" else kind for pair, kind in kinds.items()}


def on_a_table(
    folder: Path, number: int, at_once: int = 1, seed: int = 0, dies_after: int | None = None, limits: Any = None
) -> list[Trial]:
    """Trials whose score at any share is the true one, less what is still to be trained."""
    answers: list[Trial] = []
    calls = 0

    def make(_: int, sample: Sample, share: float, before: float) -> Future[dict[str, Any]]:
        nonlocal calls
        calls += 1
        if dies_after is not None and calls > dies_after:
            raise Stopped(15)
        done: Future[dict[str, Any]] = Future()
        steps = round(100 * (share - before))
        fields = {"score": true_score(sample) - (1 - share), "steps": steps, "seconds": 1.0, "seed": 0, "share": share}
        done.set_result({"sample": dict(sample), "folder": "", **fields})
        return done

    trials = Trials(Journal(folder / "trials.jsonl", {"at_once": at_once}), make, number, answers.append, limits)
    asha(POOLS, trials, TrialsSpec(number=number, halvings=2), seed)
    return answers


@pytest.mark.parametrize("at_once", [1, 3])
def test_half_of_the_configs_train_to_the_half_a_quarter_to_the_end_and_the_best_is_among_them(
    at_once: int, tmp_path: Path
) -> None:
    trials = on_a_table(tmp_path, 40, at_once)
    configs = {share: {json.dumps(t.sample): t for t in trials if t.share == share} for share in SHARES}
    assert len(configs[QUARTER]) == 40
    assert 20 <= len(configs[HALF]) <= 26, "as soon as it is in the better half, which may be too soon"
    assert 10 <= len(configs[WHOLE]) <= 16
    assert set(configs[WHOLE]) < set(configs[HALF]) < set(configs[QUARTER])
    best = max(configs[QUARTER].values(), key=lambda trial: trial.score)
    assert json.dumps(best.sample) in configs[WHOLE]
    assert {t.number for t in trials if t.sample == best.sample} == {best.number}, "it goes on under its number"
    assert sum(t.steps for t in trials) < 0.65 * 40 * 100, "random search trains all of them to the end"


def test_a_killed_search_goes_on_without_training_anything_twice(tmp_path: Path) -> None:
    whole = on_a_table(tmp_path / "a", 20)
    with pytest.raises(Stopped):
        on_a_table(tmp_path / "b", 20, dies_after=13)
    assert on_a_table(tmp_path / "b", 20) == whole
    entries = Journal(tmp_path / "b/trials.jsonl", {}).entries
    assert len(entries) == len(whole) == len({(json.dumps(e["sample"]), e["share"]) for e in entries})
    assert on_a_table(tmp_path / "c", 20) == whole, "same seed, same course"
    assert on_a_table(tmp_path / "d", 20, seed=1) != whole


def test_what_is_over_the_budget_neither_begins_nor_goes_on(tmp_path: Path) -> None:
    trials = on_a_table(tmp_path, 20, limits=NoLocal())
    assert not any("local" in trial.sample.values() for trial in trials)
    assert max(trial.share for trial in trials) == WHOLE


def test_a_space_smaller_than_the_number_of_trials_is_walked_once(tmp_path: Path) -> None:
    def make(_: int, sample: Sample, share: float, before: float) -> Future[dict[str, Any]]:
        done: Future[dict[str, Any]] = Future()
        fields = {"score": 1.0, "steps": 1, "seconds": 1.0, "seed": 0, "share": share, "folder": ""}
        done.set_result({"sample": dict(sample), **fields})
        return done

    answers: list[Trial] = []
    trials = Trials(Journal(tmp_path / "t", {"at_once": 1}), make, 50, answers.append)
    asha({"a<-a": ("none", "local"), "a<-b": ("none", "global")}, trials, TrialsSpec(), 0)
    assert len({json.dumps(t.sample) for t in answers}) == 4
    assert max(t.share for t in answers) == 1.0


def payload(folder: Path, share: float, before: float) -> dict[str, Any]:
    experiment = Experiment.load({**TINY, "retrain": {**TINY["retrain"], "steps": 6, "validate_every": 4}})
    pairs = {f"{a}<-{b}": "global" for a in experiment.tasks for b in experiment.tasks}
    asked = {"sample": pairs, "folder": str(folder), "share": share, "before": before}
    return {"experiment": experiment.dump(), **asked}


def test_a_training_that_paused_ends_bit_for_bit_as_one_that_did_not(tmp_path: Path) -> None:
    parts = [train(payload(tmp_path / "a", share, before)) for before, share in ((0.0, 0.25), (0.25, 0.5), (0.5, 1.0))]
    straight = train(payload(tmp_path / "b", 1.0, 0.0))
    assert [part["steps"] for part in parts] == [2, 1, 3] and straight["steps"] == 6
    assert parts[-1]["score"] == straight["score"] != parts[0]["score"]
    paused, whole = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(paused[name], whole[name]) for name in whole)


def test_a_pause_that_was_reached_before_the_kill_has_the_same_score_again(tmp_path: Path) -> None:
    first, again = (train(payload(tmp_path / "a", 0.5, 0.0))["score"] for _ in range(2))
    assert first == again
    assert not (tmp_path / "a/results.json").exists()


def test_a_search_ends_with_the_best_of_those_trained_to_the_end(tmp_path: Path) -> None:
    changes = {"strategy": "asha", "trials": {"number": 4, "steps": 4, "seed": 1, "halvings": 2}}
    experiment = Experiment.load({**TINY, "search": {**TINY.get("search", {}), **changes}})
    found = search(experiment, tmp_path / "run")
    entries = Journal(tmp_path / "run/search/trials.jsonl", {}).entries
    whole = [entry for entry in entries if entry["share"] == 1.0]
    best = max(whole, key=lambda entry: entry["score"])
    assert {str(pair): kind for pair, kind in found.kinds(experiment.tasks).items()} == best["sample"]
    assert found.provenance.trials == 4 and found.provenance.score == best["score"]
    assert not list((tmp_path / "run/search/trials").glob("*/retrain/checkpoints"))
