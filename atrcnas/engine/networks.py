"""Building networks for an experiment, and the weights of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from atrcnas.engine.checkpoints import read_weights
from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.net import MultiTaskNet
from atrcnas.runs.environment import commit
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair


def supernet(experiment: Experiment) -> MultiTaskNet:
    """The network with every candidate of the experiment's search space."""
    return network(experiment, experiment.search_space().pools(experiment.tasks, experiment.all_tasks))


def fixed_network(experiment: Experiment, contexts: ContextConfig, backbone: Backbone | None = None) -> MultiTaskNet:
    """The network with one kind per pair; ``backbone`` in place of a new one."""
    kinds = contexts.kinds(experiment.tasks, experiment.all_tasks)
    return network(experiment, {pair: (kind,) for pair, kind in kinds.items()}, backbone)


def network(
    experiment: Experiment, candidates: Mapping[Pair, Sequence[str]], backbone: Backbone | None = None
) -> MultiTaskNet:
    """The network with some candidates of each pair; ``backbone`` in place of a new one."""
    torch.manual_seed(experiment.seed)
    tasks = experiment.resolved_tasks()
    net = MultiTaskNet(
        experiment.predicted_tasks(),
        candidates,
        experiment.backbone,
        experiment.model,
        {name: tasks[name] for name in experiment.auxiliary_tasks},
        backbone,
    )
    for parameter in net.parameters():
        if parameter.ndim == 4:  # makes grouped convolutions far faster; a plugin's tensors may have other ranks
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def with_model_of(experiment: Experiment, contexts: ContextConfig) -> Experiment:
    """The experiment with the model settings of a context config laid over its own (presets have such settings).

    Raises:
        ConfigError: the settings do not fit each other, or the levels do not fit the neck.
    """
    experiment = experiment.replace(model=contexts.model.given())
    experiment.check_levels(contexts.levels)
    return experiment


def context_config(experiment: Experiment, kinds: Mapping[Pair, str], provenance: Provenance) -> ContextConfig:
    """A context config with the experiment's model settings, as a search writes it."""
    return ContextConfig.from_kinds(kinds, experiment.model.model_dump(exclude_defaults=True), provenance)


def searched_config(
    experiment: Experiment,
    kinds: Mapping[Pair, str],
    step: int,
    probabilities: Mapping[Pair, Mapping[str, float]] | None = None,
    **found: Any,
) -> ContextConfig:
    """The answer of a search, with where it comes from.

    Args:
        experiment: that was searched on.
        kinds: the kind of each pair.
        step: training steps spent.
        probabilities: of each kind in each pair's pool.
        found: further fields of :class:`Provenance`; a mapping by pair is written by the pair's name, rounded.
    """
    by_name = {
        key: {str(pair): round(number, 4) for pair, number in value.items()} if isinstance(value, Mapping) else value
        for key, value in found.items()
    }
    rounded = {
        str(pair): {kind: round(number, 4) for kind, number in row.items()}
        for pair, row in (probabilities or {}).items()
    }
    provenance = Provenance(
        experiment=experiment.name,
        seed=experiment.seed,
        step=step,
        commit=commit(),
        strategy=experiment.search.strategy,
        probabilities=rounded,
        **by_name,
    )
    return context_config(experiment, kinds, provenance)


def load_network(folder: RunFolder) -> MultiTaskNet:
    """The retrained network of a run, in evaluation mode.

    Raises:
        RunError: the run has no experiment or context config.
        CheckpointError: the weights are missing, damaged or of another network.
    """
    experiment = folder.load_experiment()
    # The weights come from the file; the backbone's own weight file need not exist any more.
    experiment = experiment.replace(backbone={"weights": "none"})
    net = fixed_network(experiment, folder.load_contexts())
    if not folder.weights.is_file():
        raise CheckpointError(f"{folder.weights}: not there yet. Run `atrcnas retrain` into {folder.root} first.")
    try:
        net.load_state_dict(read_weights(folder.weights))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder.weights}: damaged, or of another network ({reason}). Retrain, or restore it."
        ) from error
    return net.eval()
