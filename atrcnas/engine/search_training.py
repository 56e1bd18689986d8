"""The training of a search, whatever is searched: losses, logits and weights put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lightning_fabric import Fabric

from atrcnas.engine.choice import Choice, build_sampler
from atrcnas.engine.class_weights import weighted_tasks
from atrcnas.engine.devices import place
from atrcnas.engine.label_states import label_states
from atrcnas.engine.splits import Splits
from atrcnas.engine.training import Training, build_weighting
from atrcnas.engine.weights import Weights
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.experiment import Experiment

ChoiceT = TypeVar("ChoiceT", bound=Choice)


def assemble(
    experiment: Experiment,
    splits: Splits,
    fabric: Fabric,
    net: MultiTaskNet,
    make_choice: Callable[[Sampler], ChoiceT],
) -> tuple[Training, ChoiceT]:
    """The training of a search before its first step, and its choice.

    Args:
        experiment: its ``search`` section is the recipe.
        splits: with a part for the logits if ``search.held_out`` asks for one.
        fabric: devices and precision.
        net: the supernet.
        make_choice: from the sampler of the contexts, on its device, to the choice.
    """
    recipe = experiment.search
    sampler = build_sampler(net.candidates, recipe, experiment.seed, experiment.search_space().choose)
    tasks = weighted_tasks(experiment, splits.train, splits.weights)
    objective = Objective(tasks, label_states(experiment, splits.train, splits.weights))
    weighting = build_weighting(objective.tasks, recipe)
    for module in (net, sampler, objective, weighting):
        place(fabric, module, experiment.precision)
    choice = make_choice(sampler)
    training = Training(
        fabric,
        "search",
        Weights(net, recipe),
        objective,
        experiment.predicted_tasks(),
        recipe,
        experiment.seed,
        choice,
        experiment.sync_batchnorm,
        weighting,
    )
    return training, choice
