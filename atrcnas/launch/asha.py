"""Successive halving: every config trains for a part of its steps, and the better half goes on, once or several times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from atrcnas.launch.ask_tell import Pools, Sample, Trial, Trials
from atrcnas.launch.unseen import Row, unseen
from atrcnas.spec.recipe import TrialsSpec

KEPT = 2  # one of so many goes on, to as many times the steps


def asha(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Let a config go on as soon as it is in the better half of those that came as far; else begin one drawn evenly.

    When no more may begin, the best config of each share goes on, so that one at least is trained to the end.

    The shares of the training at which configs are compared are 1/2 and 1 with ``search.trials.halvings: 1``, 1/4, 1/2 and
    1 with 2.

    Source: Li et al., MLSys 2020, algorithm 2. Differs: no config is begun twice; the last sentence above.
    """
    shares = [KEPT**-halvings for halvings in range(options.halvings, -1, -1)]
    generator, ladder = np.random.default_rng(seed), Ladder(shares)
    seen, size = set[Row](), math.prod(len(pool) for pool in pools.values())

    def draw() -> Row:
        return tuple(pool[generator.integers(len(pool))] for pool in pools.values())

    while True:
        if (going_on := ladder.promotion()) is not None:
            answered = trials.submit(*going_on)
        elif trials.left and len(seen) < size:
            answered = trials.submit(dict(zip(pools, unseen(draw, seen), strict=True)), shares[0])
        elif not (answered := trials.finish()):
            last = ladder.promotion(least=1)
            if last is None:
                return
            answered = trials.submit(*last)
        ladder.hear(answered)


class Ladder:
    """What is known of the configs at each share of the training.

    Args:
        shares: rising, the last is 1.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares = shares
        self._scores: dict[float, dict[Row, tuple[float, Sample]]] = {share: {} for share in shares}
        self._went_on: dict[float, set[Row]] = {share: set() for share in shares}

    def hear(self, answered: Iterable[Trial]) -> None:
        """Learn scores; NaN is the worst."""
        for trial in answered:
            self._scores[trial.share][tuple(trial.sample.values())] = (trial.rank, trial.sample)

    def promotion(self, least: int = 0) -> tuple[Sample, float] | None:
        """The config that is to go on, one that came far first, and up to which share; None if all wait.

        Args:
            least: configs of a share that go on however few came as far.
        """
        for share, further in reversed(list(itertools.pairwise(self._shares))):
            ranked = sorted(self._scores[share].items(), key=lambda item: item[1][0], reverse=True)
            for config, (_, sample) in ranked[: max(len(ranked) // KEPT, min(least, len(ranked)))]:
                if config not in self._went_on[share]:
                    self._went_on[share].add(config)
                    return sample, further
        return None
