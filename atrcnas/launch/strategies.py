"""NNI's strategies over our search space and our trials; imported when one is asked for, and nothing else imports NNI.

These use only NNI's proposals: its training services pair scores with the wrong config from two parallel trials on,
and its resume loses finished ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import nni
import torch
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.mutable import Categorical, MutableDict
from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
from nni.nas.space import BaseModelSpace, ExecutableModelSpace, ModelStatus
from nni.nas.strategy import GridSearch, PolicyBasedRL, Random, RegularizedEvolution

from atrcnas.launch.ask_tell import Pools, Trial, Trials
from atrcnas.launch.unseen import REDRAWS
from atrcnas.spec.recipe import TrialsSpec

nni.silence_stdout()


def random(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Configs drawn evenly, none twice."""
    _run(Random(seed=seed), pools, trials)


def grid(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Every config, a hundred at a time in random order."""
    _run(GridSearch(seed=seed), pools, trials)


def evolution(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Mutations, of one pair on average, of the best in a quarter of the population; the oldest config dies.

    Source: Real et al., AAAI 2019.
    """
    free = sum(len(pool) > 1 for pool in pools.values())
    strategy = RegularizedEvolution(
        population_size=options.population,
        sample_size=max(options.population // 4, 1),
        # A mutated pair may draw its old kind, and a config that was tried before is drawn again.
        mutation_prob=min(1.0, 1.5 / max(free, 1)),
        seed=seed,
    )
    _run(strategy, pools, trials)


def policy(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Draws from a policy that is trained on the scores (PPO), every tenth part of the trials."""
    torch.manual_seed(seed)
    _run(PolicyBasedRL(samples_per_update=max(options.number // 10, 1)), pools, trials)


def tpe(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Kinds that are frequent among good configs, pair by pair; the first third of the trials at random.

    Source: Bergstra et al., NeurIPS 2011.
    """
    # NNI minimises by default; once a config is repeated, its tuner would walk the corner of the grid ever after.
    tuner = TpeTuner("maximize", seed, {"n_startup_jobs": max(min(20, options.number // 3), 1)})
    tuner.update_search_space({pair: {"_type": "choice", "_value": list(pool)} for pair, pool in pools.items()})
    tuner.dedup = lambda drawn: drawn
    seen: set[tuple[str, ...]] = set()
    answered = 0
    while trials.left:
        sample = _draw(tuner, options.number - trials.left, seen)
        for trial in trials.submit(sample):
            tuner.receive_trial_result(answered, trial.sample, trial.score)
            answered += 1


def _draw(tuner: Any, number: int, seen: set[tuple[str, ...]]) -> dict[str, str]:
    """A config not seen before, if one can be found; one seen before costs nothing but its place among the trials."""
    for _ in range(REDRAWS):
        sample: dict[str, str] = tuner.generate_parameters(number)
        if tuple(sample.values()) not in seen:
            break
        tuner.trial_end(number, False)
    else:
        sample = tuner.generate_parameters(number)
    seen.add(tuple(sample.values()))
    return sample


def _run(strategy: Any, pools: Pools, trials: Trials) -> None:
    strategy(_Model(_Space(pools)), _Engine(trials))


class _Space(MutableDict, BaseModelSpace):  # type: ignore[misc]
    """Pools as NNI's categorical choices."""

    def __init__(self, pools: Pools) -> None:
        super().__init__({pair: Categorical(list(pool), label=pair) for pair, pool in pools.items()})


class _Model(ExecutableModelSpace):  # type: ignore[misc]
    """The space or, with a sample, one of its configs; our engine runs the trial."""

    def __init__(self, space: _Space) -> None:
        super().__init__()
        self.space = space
        self.sample: dict[str, str] | None = None

    def leaf_mutables(self, is_leaf: Any) -> Iterator[Any]:
        yield from self.space.leaf_mutables(is_leaf)

    def check_contains(self, sample: Any) -> Any:
        return self.space.check_contains(sample)

    def freeze(self, sample: Any) -> _Model:
        self.validate(sample)
        model = _Model(self.space)
        model.sample = {str(pair): kind for pair, kind in sample.items()}
        model.status = ModelStatus.Frozen
        return model


class _Engine(ExecutionEngine):  # type: ignore[misc]
    """NNI's view of :class:`Trials`."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self.trials = trials
        self.models: list[_Model] = []
        self.num_answered = 0

    def submit_models(self, *models: Any) -> None:
        for model in models:
            self.models.append(model)
            model.status = ModelStatus.Training
            self._report(self.trials.submit(model.sample))

    def wait_models(self, *models: Any) -> None:
        self._report(self.trials.finish())

    def list_models(self, status: Any = None) -> Iterable[_Model]:
        return [model for model in self.models if status in (None, model.status)]

    def idle_worker_available(self) -> bool:
        return True

    def budget_available(self) -> bool:
        return self.trials.left > 0

    def shutdown(self) -> None:
        pass

    def _report(self, answered: list[Trial]) -> None:
        for trial in answered:
            model = self.models[self.num_answered]
            self.num_answered += 1
            self.dispatch_model_event(FinalMetricEvent(model, trial.score))
            self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))
