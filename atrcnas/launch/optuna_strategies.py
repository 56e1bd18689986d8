"""NNI's strategies without NNI: two by Optuna's samplers, and two that need none; imported when they are asked for."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from atrcnas.launch.ask_tell import Pools, Trial, Trials
from atrcnas.launch.evolution import Evolution
from atrcnas.launch.unseen import Row, unseen
from atrcnas.spec.recipe import TrialsSpec

optuna.logging.set_verbosity(optuna.logging.ERROR)
BATCH = 100


def random(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Configs drawn evenly, none twice."""
    study, seen = _Study(RandomSampler(seed=seed), pools), set[Row]()
    while trials.left and len(seen) < math.prod(map(len, pools.values())):
        if (row := study.draw()) not in seen:
            seen.add(row)
            trials.submit(dict(zip(pools, row, strict=True)))


def tpe(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Configs like the good ones, after a first third of the trials at random.

    Source: Bergstra et al., NeurIPS 2011. Differs: a good config is drawn from as a whole, not pair by pair.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna 4, about multivariate
        first = max(min(20, options.number // 3), 1)
        sampler = TPESampler(n_startup_trials=first, multivariate=True, seed=seed)
    study, seen = _Study(sampler, pools), set[Row]()
    while trials.left:
        # A config that was drawn before costs nothing but its place among the trials.
        row = unseen(study.draw, seen)
        for trial in trials.submit(dict(zip(pools, row, strict=True))):
            study.hear(trial)


def grid(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Every config, a hundred at a time in random order."""
    generator = np.random.default_rng(seed)
    for batch in _batches(itertools.product(*pools.values())):
        for place in generator.permutation(len(batch)):
            if not trials.left:
                return
            trials.submit(dict(zip(pools, batch[place], strict=True)))


def evolution(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Mutations, of one pair, of the best in a quarter of the population; the oldest config dies.

    Source: Real et al., AAAI 2019.
    """
    population = Evolution(pools, options.population, np.random.default_rng(seed))
    while trials.left:
        sample = dict(zip(pools, population.propose(), strict=True))
        for trial in trials.submit(sample):
            population.hear(tuple(trial.sample[pair] for pair in pools), trial.score)


class _Study:
    """What an Optuna sampler draws, and what it has learnt."""

    def __init__(self, sampler: BaseSampler, pools: Pools) -> None:
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._choices = {pair: CategoricalDistribution(pool) for pair, pool in pools.items()}

    def draw(self) -> Row:
        """A config, as the kinds of its pairs in order.

        Optuna's own trial is dropped at once: within a budget, another config than this one may be tried.
        """
        drawn = self._study.ask(self._choices)
        self._study.tell(drawn, state=TrialState.FAIL)
        return tuple(drawn.params[pair] for pair in self._choices)

    def hear(self, trial: Trial) -> None:
        """Learn the score of a config; one that is not a number teaches nothing."""
        if not math.isnan(trial.score):
            self._study.add_trial(
                create_trial(value=trial.score, params=trial.sample, distributions=dict(self._choices))
            )


def _batches(configs: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(configs, BATCH)):
        yield batch
