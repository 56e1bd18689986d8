"""Every strategy on a score that costs nothing and that no two configs share."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.launch.ask_tell import Sample, Trial, Trials
from atrcnas.launch.engines import open_pool
from atrcnas.launch.journal import Journal
from atrcnas.launch.pool import Local, Pool
from atrcnas.launch.proposals import choose
from atrcnas.spec.launch import LaunchSpec
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import TrialsSpec
from atrcnas.spec.strategies import STRATEGIES
from tests.unit.launch.fake import POOLS, SCORE, true_score

NO_TIANSHOU = pytest.mark.skipif(
    importlib.util.find_spec("tianshou") is None, reason="needs tianshou==0.4.11, gym==0.26.2"
)
WITHOUT_NNI = [f"{strategy.name} by optuna" for strategy in STRATEGIES if strategy.by_optuna]
BY_TRIALS = [
    pytest.param(strategy.name, marks=NO_TIANSHOU if strategy.name == "rl" else ())
    for strategy in STRATEGIES
    if not strategy.by_gradient
] + WITHOUT_NNI


def explorer(name: str) -> Callable[..., None]:
    name, _, library = name.partition(" by ")
    return choose(STRATEGIES[name], library or "auto").explore


def explore(
    name: str, folder: Path, at_once: int = 1, number: int = 30, pool: Pool | None = None, slow: float = 0.05
) -> list[Trial]:
    """The trials a strategy asks for, in the order they were answered; calls that were made are in calls.txt."""
    heard: list[Trial] = []
    calls = pool or Local()
    folder.mkdir(exist_ok=True)

    def make(_: int, sample: Sample, share: float, before: float) -> Future[dict[str, Any]]:
        wait = 0.0 if pool is None else slow
        return calls.submit(SCORE, {"sample": dict(sample), "share": share, "notes": str(folder), "slow": wait})

    journal = Journal(folder / "trials.jsonl", {"at_once": at_once})
    trials = Trials(journal, make, number, heard.append)
    options = TrialsSpec(number=number, population=8)
    explorer(name)(POOLS, trials, options, 4)
    trials.finish()
    return heard


def course(trials: list[Trial]) -> list[tuple[dict[str, str], float]]:
    return [(trial.sample, trial.score) for trial in trials]


def num_calls(folder: Path) -> int:
    return len((folder / "calls.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def three() -> Iterator[Pool]:
    with open_pool(LaunchSpec(engine="processes", workers=3)) as pool:
        yield pool


@pytest.mark.parametrize("name", BY_TRIALS)
def test_every_score_belongs_to_its_config_with_three_at_once(name: str, tmp_path: Path, three: Pool) -> None:
    trials = explore(name, tmp_path / "a", at_once=3, pool=three)
    begun = list(dict.fromkeys(trial.number for trial in trials))  # those of asha go on under their number
    assert begun == list(range(30))
    assert len(trials) == 30 or name == "asha"
    assert all(trial.score == true_score(trial.sample) for trial in trials)
    assert len({trial.score for trial in trials}) >= 20
    journal = Journal(tmp_path / "a/trials.jsonl", {})
    assert all(entry["score"] == true_score(entry["sample"]) for entry in journal.entries)


@pytest.mark.parametrize("name", BY_TRIALS)
def test_which_of_three_ends_first_makes_no_difference(name: str, tmp_path: Path, three: Pool) -> None:
    assert course(explore(name, tmp_path / "a", at_once=3, pool=three)) == course(
        explore(name, tmp_path / "b", at_once=3)
    )


@pytest.mark.parametrize("name", BY_TRIALS)
@pytest.mark.parametrize("at_once", [1, 3])
def test_after_a_kill_the_course_is_the_same_and_nothing_is_scored_twice(
    name: str, at_once: int, tmp_path: Path
) -> None:
    whole = explore(name, tmp_path / "a", at_once)
    journal = tmp_path / "a/trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:13]) + lines[13][:20])
    made = num_calls(tmp_path / "a")
    assert course(explore(name, tmp_path / "a", at_once=7)) == course(whole), "a resumed run keeps its number at once"
    assert num_calls(tmp_path / "a") - made == made - 12
    assert journal.read_bytes().splitlines(keepends=True) == lines


@pytest.mark.parametrize("name", ["evolution", "tpe", "evolution by optuna", "tpe by optuna"])
def test_what_learns_goes_up(name: str, tmp_path: Path) -> None:
    scores = [trial.score for trial in explore(name, tmp_path / "a", number=90)]
    assert sum(scores[-30:]) / 30 > sum(scores[:30]) / 30 + 1.0


@pytest.mark.parametrize("name", ["random", *WITHOUT_NNI])
def test_another_seed_is_another_course(name: str, tmp_path: Path) -> None:
    first = explore(name, tmp_path / "a")
    journal = Journal(tmp_path / "b.jsonl", {"at_once": 1})
    heard: list[Trial] = []
    trials = Trials(
        journal, lambda _, sample, *share: Local().submit(SCORE, {"sample": dict(sample)}), 30, heard.append
    )
    explorer(name)(POOLS, trials, TrialsSpec(number=30, population=8), 5)
    assert course(heard) != course(first)


class NoLabels:
    """Limits within which no label branch fits."""

    def nearest(self, kinds: dict[Pair, str], pools: object) -> dict[Pair, str]:
        return {pair: "none" if kind == "tlabel" else kind for pair, kind in kinds.items()}


@pytest.mark.parametrize("name", WITHOUT_NNI)
def test_within_a_budget_they_learn_from_the_configs_that_were_tried(name: str, tmp_path: Path) -> None:
    heard: list[Trial] = []
    journal = Journal(tmp_path / "trials.jsonl", {"at_once": 2})
    make = lambda _, sample, *share: Local().submit(SCORE, {"sample": dict(sample)})  # noqa: E731
    trials = Trials(journal, make, 60, heard.append, NoLabels())
    explorer(name)(POOLS, trials, TrialsSpec(number=60, population=8), 0)
    trials.finish()
    assert len(heard) == 60
    assert all(trial.score == true_score(trial.sample) for trial in heard)
    assert not any("tlabel" in trial.sample.values() for trial in heard)


def test_a_config_asked_for_again_costs_nothing(tmp_path: Path) -> None:
    heard: list[Trial] = []
    journal = Journal(tmp_path / "trials.jsonl", {"at_once": 2})
    trials = Trials(journal, lambda _, sample, *share: Local().submit(SCORE, {"sample": dict(sample)}), 3, heard.append)
    for kind in ("none", "none", "local"):
        trials.submit({"a<-a": kind})
    trials.finish()
    assert [trial.steps for trial in heard] == [5, 0, 5]
    assert heard[0].score == heard[1].score and len(journal.entries) == 2


def test_more_trials_than_there_are_is_one_message(tmp_path: Path) -> None:
    trials = Trials(
        Journal(tmp_path / "t", {"at_once": 1}), lambda _, s, *share: Local().submit(SCORE, {"sample": s}), 1
    )
    trials.submit({"a<-a": "none"})
    with pytest.raises(RunError, match="1 trials are done"):
        trials.submit({"a<-a": "local"})


def test_an_answer_for_another_config_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "t", {"at_once": 1})
    trials = Trials(journal, lambda _, sample, *share: Local().submit(SCORE, {"sample": {"a<-a": "local"}}), 1)
    with pytest.raises(RunError, match="another config"):
        trials.submit({"a<-a": "none"})
    assert journal.entries == []


def test_a_space_smaller_than_the_number_of_trials_is_walked_once(tmp_path: Path) -> None:
    for name in ("random", "grid", "random by optuna", "grid by optuna"):
        heard: list[Trial] = []
        journal = Journal(tmp_path / f"{name}.jsonl", {"at_once": 1})
        trials = Trials(
            journal, lambda _, sample, *share: Local().submit(SCORE, {"sample": dict(sample)}), 50, heard.append
        )
        explorer(name)({"a<-a": ("none", "local"), "a<-b@8": ("none", "global")}, trials, TrialsSpec(), 0)
        assert len({json.dumps(trial.sample) for trial in heard}) == len(heard) == 4


def test_nni_prints_nothing_and_is_imported_by_its_strategies_alone() -> None:
    code = (
        "import sys, atrcnas.launch.search, atrcnas.launch.sweep, atrcnas.cli\n"
        "assert not {'nni', 'optuna', 'ray'} & set(sys.modules)\n"
        "from atrcnas.spec.strategies import STRATEGIES\n"
        "atrcnas.launch.search.choose(STRATEGIES['evolution'], 'auto')\n"
        "assert 'nni' in sys.modules and 'optuna' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
