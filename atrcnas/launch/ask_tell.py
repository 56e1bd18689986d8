"""Trials of a search: asked for by a strategy, run by a pool, kept by the journal, answered in the order asked.

    for trial in trials.submit(sample): learn from trial.sample, trial.score
    for trial in trials.finish():       those still running at the end

A trial may be asked for a share of its training first, and the same config later for more: its training goes on.

With W trials at once, an answer comes when the W-th trial after it is asked for, whichever finished first. What a strategy
learns and when is therefore the same in every run, and a run that was killed is replayed: samples that the journal
knows are answered at once. (A different W changes the sequence, so a resumed run keeps the W it started with.)
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from atrcnas.costs.choosing import Limits
from atrcnas.costs.table import Pools as PairPools
from atrcnas.ground.errors import RunError
from atrcnas.ground.scores import comparable
from atrcnas.launch.journal import Journal
from atrcnas.spec.pairs import Pair

Sample = Mapping[str, str]
Pools = Mapping[str, tuple[str, ...]]
Make = Callable[[int, Sample, float, float], Future[dict[str, Any]]]


def digest(sample: Sample) -> str:
    """Eight hexadecimal digits that tell a config from others, for the names of its files."""
    return hashlib.sha256(json.dumps(sorted(sample.items())).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Trial:
    """One scored config.

    Attributes:
        number: 0, 1, ... in the order asked; one that goes on keeps its number.
        sample: kind per pair.
        score: higher is better.
        steps: trained for it, without those of a smaller share; 0 if the config had been scored before in this search.
        seconds: that it took.
        seed: of its training.
        folder: its run folder; empty if it has none.
        by_target: score of each target's row of kinds, where they are scored apart; higher is better.
        share: of its training that the score is after.
    """

    number: int
    sample: dict[str, str]
    score: float
    steps: int
    seconds: float
    seed: int
    folder: str = ""
    by_target: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0

    @property
    def rank(self) -> float:
        """The score to compare by, in which NaN is the worst."""
        return comparable(self.score)


class Trials:
    """What a strategy asks for scores.

    Args:
        journal: of this search; its header says how many trials are ``at_once``.
        make: starts the trial of a number and a sample up to a share of its training, given the share it has behind it;
            the answer holds the fields of a :class:`Trial` without number.
        number: of trials in all; those that go on are not counted again.
        report: called with every trial, in the order asked.
        limits: of the cost; a sample above them is replaced by the nearest one within; None: all are taken.
        pools: of the search space, where there are limits.
    """

    def __init__(
        self,
        journal: Journal,
        make: Make,
        number: int,
        report: Callable[[Trial], None] = lambda trial: None,
        limits: Limits | None = None,
        pools: PairPools | None = None,
    ) -> None:
        self._journal, self._make, self._number, self._report = journal, make, number, report
        self.limits, self._pools = limits, pools or {}
        try:
            self._at_once = int(journal.header["at_once"])
            self._known = {_entry_key(entry): entry for entry in journal.entries}
            for entry in journal.entries:
                Trial(number=0, **entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{journal.path}: expected the trials of a search, got something else ({type(error).__name__}: {error}). "
                "Restore the file, or choose another --run."
            ) from error
        self._running: dict[str, Future[dict[str, Any]]] = {}
        self._queue: deque[tuple[int, str]] = deque()
        self._begun: dict[str, tuple[int, float]] = {}  # config -> number of its first trial, share asked for so far
        self._asked, self._answered = 0, set[str]()

    @property
    def left(self) -> int:
        """Trials that may still be asked for."""
        return self._number - self._asked

    def submit(self, sample: Sample, share: float = 1.0) -> list[Trial]:
        """Ask for one trial, of the sample or, if it costs too much, of the nearest one within the limits.

        Args:
            sample: kind per pair.
            share: of its training, above 0 and up to 1; more than it was asked for before, it goes on.

        Returns:
            The trials answered now: the oldest, if as many as may run at once are waiting.

        Raises:
            RunError: no trials are left, or one failed.
        """
        sample = self._within_limits(sample)
        config, key = _key(sample), _key(sample, share)
        first, before = self._begun.get(config, (self._asked, 0.0))
        goes_on = 0.0 < before < share
        if self.left < 1 and not goes_on:
            raise RunError(f"search.trials.number: {self._number} trials are done, the strategy asked for one more.")
        if key not in self._known and key not in self._running:
            self._running[key] = self._make(first, sample, share, before)
        self._queue.append((first if goes_on else self._asked, key))
        self._begun[config] = (first, max(before, share))
        self._asked += not goes_on
        return self._answer(self._at_once - 1)

    def finish(self) -> list[Trial]:
        """Wait for all that are still running."""
        return self._answer(0)

    def _within_limits(self, sample: Sample) -> Sample:
        if self.limits is None:
            return sample
        nearest = self.limits.nearest({Pair.parse(pair): kind for pair, kind in sample.items()}, self._pools)
        return {str(pair): kind for pair, kind in nearest.items()}

    def _answer(self, keep: int) -> list[Trial]:
        answered = []
        while len(self._queue) > keep:
            number, key = self._queue.popleft()
            while key not in self._known:
                self._record()
            repeated = {"steps": 0, "seconds": 0.0} if key in self._answered else {}
            self._answered.add(key)
            trial = Trial(number=number, **{**self._known[key], **repeated})
            self._report(trial)
            answered.append(trial)
        return answered

    def _record(self) -> None:
        """Wait for the next trial to end, and write down those that have."""
        done, _ = wait(self._running.values(), return_when=FIRST_COMPLETED)
        ended = [key for key, future in self._running.items() if future in done]
        failed = None
        for key in ended:
            future = self._running.pop(key)
            failed = failed or future.exception()
            if future.exception() is None:
                self._journal_entry(key, future.result())
        if failed is not None:
            raise failed

    def _journal_entry(self, key: str, entry: dict[str, Any]) -> None:
        if _entry_key(entry) != key:
            raise RunError(f"{entry['folder']}: holds another config than it was made for. Remove it, then --resume.")
        self._journal.append(entry)
        self._known[key] = entry


def progress(trial: Trial, best: float, number: int) -> None:
    """One line per trial on the error stream."""
    part = f" after {trial.share:.0%}" if trial.share < 1 else ""
    line = f"trial {trial.number + 1}/{number}{part}: score {trial.score:.4f}, best {best:.4f}, {trial.seconds:.0f} s"
    print(line, file=sys.stderr, flush=True)


def _key(sample: Sample, share: float = 1.0) -> str:
    return json.dumps([*sorted((str(pair), str(kind)) for pair, kind in sample.items()), share])


def _entry_key(entry: Mapping[str, Any]) -> str:
    return _key(entry["sample"], entry.get("share", 1.0))
