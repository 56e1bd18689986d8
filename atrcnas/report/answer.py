"""What a run found, in a few sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from atrcnas.ground.registry import Registry
from atrcnas.report.heatmap import chosen_kinds
from atrcnas.report.reading import RunView
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.kinds import NONE
from atrcnas.spec.strategies import STRATEGIES
from atrcnas.spec.tasks import Task

_MOST_NAMED = 6


def answer(view: RunView) -> str:
    """What was chosen, how far the run is, and how well the network predicts."""
    return " ".join(_sentences(view))


def _sentences(view: RunView) -> Iterator[str]:
    if view.contexts is None:
        yield "Nothing has been chosen yet: the search has not been validated for the first time."
        return
    yield _choice(view, view.contexts)
    if view.results is not None:
        yield _scores(view.results, view.tasks)
    elif view.folder.begun("retrain"):
        yield "The retraining has not ended."
    else:
        yield "The network of this choice has not been retrained."


def _choice(view: RunView, contexts: ContextConfig) -> str:
    if contexts.is_rule:
        return "The contexts are rules that fit any tasks."
    origin, kinds = contexts.provenance, contexts.kinds(contexts.named_tasks)
    counts = chosen_kinds(kinds)
    free = sum(kind == NONE for kind in kinds.values())
    used = [f"{count} {kind}" for kind, count in counts.items() if kind != NONE]
    named = f" ({', '.join(used[:_MOST_NAMED])})" if used else ""
    without = f", {free} do without" if free else ""
    undecided = len(origin.undecided or {})
    still = f"; {undecided} {'is' if undecided == 1 else 'are'} undecided" if undecided else ""
    return (
        f"{_subject(view, origin)} {len(kinds) - free} of {len(kinds)} pairs of tasks a context{named}{without}{still}."
    )


def _subject(view: RunView, origin: Provenance) -> str:
    experiment = view.experiment
    if origin.strategy is None:
        return f"The contexts of {origin.source or origin.experiment or 'a file'} give"
    if not view.folder.begun("search") or experiment is None:
        return f"A search by {origin.strategy} gave"
    if STRATEGIES[experiment.search.strategy].by_gradient and experiment.search.seeds == 1:
        done, steps = origin.step or 0, experiment.search.steps
        if done < steps:
            return f"The search by {origin.strategy} is under way, validated last at step {done} of {steps}; so far it gives"
        return f"The search by {origin.strategy}, {steps} steps, gave"
    if origin.trials is not None and origin.trials < experiment.search.trials.number:
        found = f"{origin.trials} of {experiment.search.trials.number} configs scored"
        return f"The search by {origin.strategy} is under way, {found}; so far it gives"
    return f"The search by {origin.strategy} gave"


def _scores(results: dict[str, Any], tasks: Registry[Task]) -> str:
    found = []
    for task, figures in results["scores"].items():
        name, value = next(iter(figures.items()), ("", math.nan))
        unit = f" {tasks[task].unit}" if task in tasks and tasks[task].unit else ""
        found.append(f"{task} {name} {value:.3f}{unit}" if math.isfinite(value) else f"{task} {name} undefined")
    return f"The retrained network scores {', '.join(found)} on the validation split."
