"""Building networks for an experiment, and the weights of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from atrcnas.engine.run_folder import RunFolder
from atrcnas.ground.errors import CheckpointError
from atrcnas.ground.files import write_atomically
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair


def supernet(experiment: Experiment) -> MultiTaskNet:
    """The network with every candidate of the experiment's search space."""
    return _network(experiment, experiment.search_space().pools(experiment.tasks, experiment.all_tasks))


def fixed_network(experiment: Experiment, contexts: ContextConfig) -> MultiTaskNet:
    """The network with one kind per pair."""
    kinds = contexts.kinds(experiment.tasks, experiment.all_tasks)
    return _network(experiment, {pair: (kind,) for pair, kind in kinds.items()})


def _network(experiment: Experiment, candidates: Mapping[Pair, Sequence[str]]) -> MultiTaskNet:
    torch.manual_seed(experiment.seed)
    tasks = experiment.resolved_tasks()
    return MultiTaskNet(
        {name: tasks[name] for name in experiment.tasks},
        candidates,
        experiment.backbone,
        experiment.model,
        {name: tasks[name] for name in experiment.auxiliary_tasks},
    ).to(memory_format=torch.channels_last)


def with_model_of(experiment: Experiment, contexts: ContextConfig) -> Experiment:
    """The experiment under the model settings that belong to a context config (a preset has them).

    Raises:
        ConfigError: the settings do not fit each other, or the levels do not fit the neck.
    """
    if contexts.model:
        experiment = experiment.replace(model=contexts.model)
    experiment.check_levels(contexts.levels)
    return experiment


def save_weights(net: MultiTaskNet, path: Path) -> None:
    """Write the state dict as safetensors."""
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    write_atomically(path, lambda temporary: save_file(state, temporary))


def load_network(folder: RunFolder) -> MultiTaskNet:
    """The retrained network of a run, in evaluation mode.

    Raises:
        RunError: the run has no experiment or context config.
        CheckpointError: the weights are missing, damaged or of another network.
    """
    experiment = folder.load_experiment()
    # The weights come from the file; a backbone's own weight file need not be there any more.
    experiment = experiment.replace(backbone={"weights": "none"})
    net = fixed_network(experiment, folder.load_contexts())
    if not folder.weights.is_file():
        raise CheckpointError(f"{folder.weights}: not there yet. Run `atrcnas retrain` into {folder.root} first.")
    try:
        net.load_state_dict(load_file(folder.weights))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder.weights}: damaged, or of another network ({reason}). Retrain, or restore it."
        ) from error
    return net.eval()
