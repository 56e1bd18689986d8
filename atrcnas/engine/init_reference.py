"""Starting from a checkpoint of the ATRC reference implementation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

# pytorch-lightning 1.1, which the published code pins, files a callback's state under the callback's class.
_CALLBACK = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
_WRAPPERS = re.compile(r"^(?:model\.|module\.)+")


class _Inert:
    """Stands in for that class while the file is read: takes no arguments, does nothing."""


def read_reference(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint written by ``torch.save``, executing nothing.

    Args:
        path: a state dict, or a dict that holds one under ``state_dict``.

    Returns:
        Name, without leading ``model.`` and ``module.``, -> tensor; in the order they were saved in.

    Raises:
        CheckpointError: missing, damaged, without weights, or with objects that would have to be executed.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint of the reference implementation. Check the path.")
    with torch.serialization.safe_globals([(_Inert, _CALLBACK)]):
        value = read_checkpoint(path, way_out="Use a file that the reference implementation's training wrote.")
    state = value.get("state_dict", value)
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(
            f"{path}: expected a state dict (name -> tensor), at the top or under 'state_dict', got "
            f"{', '.join(map(str, list(value)[:5])) or 'nothing'}. Use a file of the reference implementation."
        )
    return {_WRAPPERS.sub("", str(key)): tensor for key, tensor in state.items()}


def like_reference(experiment: Experiment) -> Experiment:
    """The experiment with the reference's backbone: it enlarges HRNet's coarser branches bilinearly.

    Raises:
        ConfigError: the experiment takes its weights from elsewhere too.
    """
    if experiment.retrain.inherit:
        raise ConfigError("retrain.inherit: true and --init-reference both give the weights. Drop one of them.")
    hrnet = experiment.backbone.name.startswith("hrnet")
    return experiment.replace(backbone={"weights": "none", **({"upsample": "bilinear"} if hrnet else {})})


def reference_label_states(tasks: Mapping[str, Task], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What label encoders were fitted to in the reference: the directions its label branch was trained to distinguish.

    Args:
        tasks: by name.
        state: from :func:`read_reference`.

    Returns:
        Task -> [K, 3] unit vectors, for the tasks the file holds them for.

    Raises:
        CheckpointError: another number of vectors than the task has labels.
    """
    found: dict[str, Tensor] = {}
    for name, task in tasks.items():
        key = f"criterion.loss_dict.{name}.aux.centroids"
        if key in state:
            if state[key].shape != (task.num_labels, 3):
                raise CheckpointError(
                    f"reference weights: '{key}': expected {(task.num_labels, 3)}, got {tuple(state[key].shape)}."
                )
            found[name] = F.normalize(state[key].float(), dim=1)
    return found
