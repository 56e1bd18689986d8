"""Several searches by gradient that differ in their seed, and what they agree on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from atrcnas.costs.choosing import Limits, affordable
from atrcnas.engine.cost_table import limits_of
from atrcnas.engine.devices import surroundings
from atrcnas.engine.gradient_search import search
from atrcnas.engine.networks import searched_config
from atrcnas.engine.splits import open_splits
from atrcnas.runs.budget import Budget, spent
from atrcnas.runs.folder import RunFolder
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import parts
from atrcnas.spec.pairs import Pair

_LEAST = 1e-9  # a probability of 0 has no logit


def search_seeds(experiment: Experiment, run: str | Path, resume: bool = False) -> ContextConfig:
    """Search ``search.seeds`` times, one after the other, and choose by the mean of the probabilities.

    The seeds are the experiment's and those that follow it. A seed decides everything random: the weights at the
    beginning, the draws, the order of the samples, and which of them the search is validated on.

    Args:
        experiment: what to search on.
        run: run folder; gets ``contexts.yaml``, ``search/budget.csv``, and a run folder for each, ``search/seed-0``, ...
        resume: keep the searches that are finished, and go on with the one that is not.

    Returns:
        The consensus; pairs on which the searches disagree are undecided in it.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    folder = RunFolder(Path(run).absolute())
    with folder.locked():
        folder.enter(experiment, "search", resume, surroundings(experiment))
        budget = Budget(folder.budget, experiment.search.strategy)
        budget.table.begin()
        found, steps, seconds = list[ContextConfig](), 0, 0.0
        for number in range(experiment.search.seeds):
            own = RunFolder(folder.seed(number))
            alone = experiment.replace(seed=experiment.seed + number, search={"seeds": 1})
            found.append(search(alone, own.root, own.begun("search")))
            last = spent(own.budget)
            steps, seconds = steps + last.step, seconds + last.seconds
            budget.add(number + 1, steps, last.score, seconds)
        budget.table.sync()
        limits = limits_of(experiment, open_splits(experiment)) if experiment.search.budget else None
        contexts = consensus(experiment, found, steps, limits)
        contexts.save(folder.contexts)
        return contexts


def consensus(
    experiment: Experiment, found: Sequence[ContextConfig], step: int, limits: Limits | None = None
) -> ContextConfig:
    """The kinds with the largest probability on average, and on each pair the share of searches that chose them.

    Within a budget, those that most searches chose, the probability deciding ties, with as few changes as keep to it:
    there the probabilities are tilted towards what is cheap, and are not what each search chose by.

    Args:
        experiment: that was searched on.
        found: one config per search, with probabilities.
        step: training steps of all searches together.
        limits: of the budget, if there is one.
    """
    space, tasks = experiment.search_space(), (experiment.tasks, experiment.all_tasks)
    pools = space.pools(*tasks)
    probabilities = {
        pair: {kind: _mean([config.provenance.probabilities[str(pair)][kind] for config in found]) for kind in pool}
        for pair, pool in pools.items()
    }
    sampler = _sampler(probabilities, space.choose)
    chosen, leads = sampler.chosen(), sampler.undecided()
    choices = [config.kinds(*tasks) for config in found]
    if limits is not None:
        chosen = affordable(_votes(probabilities, choices), limits.excess)
    agreement = {pair: _share(choices, pair, kind) for pair, kind in chosen.items()}
    disagreeing = {pair: leads.get(pair, 1.0) for pair, share in agreement.items() if share < 1}
    return searched_config(experiment, chosen, step, probabilities, undecided=disagreeing, agreement=agreement)


def _votes(
    probabilities: Mapping[Pair, Mapping[str, float]], choices: Sequence[Mapping[Pair, str]]
) -> dict[Pair, dict[str, float]]:
    """The share of the searches that chose each kind of a pair, or two together; a probability counts less than any."""
    least = 1 / (len(choices) + 1)
    return {
        pair: {
            kind: _share(choices, pair, kind) + least * math.fsum(row[part] for part in parts(kind))
            for kind in dict.fromkeys([*row, *(choice[pair] for choice in choices)])
        }
        for pair, row in probabilities.items()
    }


def _share(choices: Sequence[Mapping[Pair, str]], pair: Pair, kind: str) -> float:
    """The share of the searches that chose this kind of the pair."""
    return _mean([float(set(parts(choice[pair])) == set(parts(kind))) for choice in choices])


def _sampler(probabilities: Mapping[Pair, Mapping[str, float]], choose: int) -> Sampler:
    """One with these probabilities, that has committed to nothing."""
    sampler = Sampler({pair: tuple(row) for pair, row in probabilities.items()}, commit_gap=1.0, choose=choose)
    with torch.no_grad():
        for row, pair in enumerate(sampler.pairs):
            for kind, value in probabilities[pair].items():
                sampler.logits[row, sampler.kinds.index(kind)] = math.log(max(value, _LEAST))
    return sampler


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
