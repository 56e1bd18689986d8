"""What would make a job cheaper: a few overrides, each with the saving that was measured or follows from the plan."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

from atrcnas.engine.branch_search import all_apart
from atrcnas.engine.devices import connect, on_gpu
from atrcnas.planning.job import Plan, StagePlan, search_stage
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.overrides import override
from atrcnas.spec.strategies import STRATEGIES

_WAITING, _VALIDATING, _WORTH = 0.1, 0.15, 0.05  # shares from which something is worth saying


@dataclass(frozen=True)
class Saving:
    """One way to save.

    Attributes:
        overrides: for the command line.
        seconds: less of the whole job; negative where it takes longer.
        mib: less of peak memory of a search step.
        note: what changes besides.
    """

    overrides: str
    seconds: float
    mib: float = 0.0
    note: str = ""


def savings(experiment: Experiment, plan: Plan, budget_s: float) -> list[Saving]:
    """What saves at least a twentieth of the time or of the memory, the largest saving of time first.

    Args:
        experiment: that was planned.
        plan: of it.
        budget_s: seconds for the timed steps of each way that has to be tried.
    """
    experiment = all_apart(experiment)  # as planned
    found = [*_tried(experiment, plan, budget_s), *_reckoned(experiment, plan)]
    worth = [one for one in found if one.seconds > _WORTH * plan.seconds or one.mib > _WORTH * max(plan.peak_mib, 1.0)]
    return sorted(worth, key=lambda one: -one.seconds)


def _tried(experiment: Experiment, plan: Plan, budget_s: float) -> Iterator[Saving]:
    """Overrides whose search step is timed."""
    if plan.search is None:
        return
    recipe, words = experiment.search, dict[str, str]()
    if STRATEGIES[recipe.strategy].by_gradient and STRATEGIES[recipe.strategy].noise and recipe.estimator == "soft":
        words["search.estimator=paired"] = "another estimator, with rules of its own"
    if not recipe.activation_checkpointing:
        words["search.activation_checkpointing=true"] = "the same result"
    if experiment.precision == "32" and on_gpu(experiment):
        words["precision=bf16"] = "rounds more coarsely"
    fabric = connect(experiment)
    for text, note in words.items():
        changed = Experiment.load(override(experiment.dump(), [text], text))
        other = search_stage(changed, fabric, budget_s)
        yield Saving(text, plan.search.seconds - other.seconds, plan.search.peak_mib - other.peak_mib, note)


def _reckoned(experiment: Experiment, plan: Plan) -> Iterator[Saving]:
    """Overrides whose saving follows from what was timed."""
    stages = {name: stage for name, stage in (("search", plan.search), ("retrain", plan.retrain)) if stage}
    cores = os.cpu_count() or 1
    waited = sum(stage.waiting_s * stage.steps for stage in stages.values())
    if waited > _WAITING * plan.seconds and experiment.data.workers < cores and cores > plan.threads:
        workers = cores - plan.threads
        # At best it no longer waits; a loader process reads no faster than the step that read for itself.
        yield Saving(
            f"data.workers={workers}", _hidden(stages, workers), 0.0, f"uses {workers} more cores; the same result"
        )
    if plan.cached_s > 0:
        mib = math.ceil(plan.cacheable_mib)
        yield Saving(f"data.cache_mib={mib}", plan.cached_s, -float(mib), "the same result")
    for name, stage in stages.items():
        recipe = getattr(experiment, name)
        if stage.validating_s > _VALIDATING * stage.seconds and recipe.validate_every < recipe.steps:
            every = min(2 * recipe.validate_every, recipe.steps)
            kept = math.ceil(recipe.steps / every) / math.ceil(recipe.steps / recipe.validate_every)
            yield Saving(
                f"{name}.validate_every={every}", stage.validating_s * (1 - kept), 0.0, "fewer scores by the way"
            )
    longest = max(stages, key=lambda name: stages[name].seconds)
    steps = getattr(experiment, longest).steps // 2
    if steps:
        halved = (stages[longest].seconds - stages[longest].validating_s) / 2
        yield Saving(f"{longest}.steps={steps}", halved, 0.0, "trains half as long")


def _hidden(stages: dict[str, StagePlan], workers: int) -> float:
    """Seconds of reading that would happen during the steps."""
    hidden = 0.0
    for stage in stages.values():
        computing = stage.step_s - stage.waiting_s
        hidden += stage.steps * (stage.step_s - max(computing, stage.waiting_s / workers))
    return hidden
