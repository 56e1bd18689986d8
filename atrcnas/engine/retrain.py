"""Training of the fixed network that a context config describes, from scratch or from the supernet's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from atrcnas.data.loading import Source, open_source, training_loader, validation_loader
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.evaluate import evaluate
from atrcnas.engine.label_states import label_states
from atrcnas.engine.networks import fixed_network, save_weights, supernet, with_model_of
from atrcnas.engine.records import METRIC_COLUMNS, Table
from atrcnas.engine.run_folder import RunFolder
from atrcnas.engine.trainer import best_checkpoint, fit, make_trainer, resume_point
from atrcnas.engine.training import Training
from atrcnas.ground.errors import CheckpointError, RunError
from atrcnas.nn.inherit import inherit
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment


def retrain(experiment: Experiment, contexts: ContextConfig, run: str | Path, resume: bool = False) -> dict[str, Any]:
    """Train the fixed network and score its best checkpoint.

    Args:
        experiment: what to train on; its ``retrain`` section is the recipe.
        contexts: one kind per pair; its ``model`` settings are laid over the experiment's.
        run: run folder; gets ``retrain/``, ``model.safetensors``, ``results.json`` and ``samples/``.
        resume: go on from the last checkpoint of ``run``.

    Returns:
        What ``results.json`` holds.

    Raises:
        AtrcnasError: see the message.
    """
    experiment = with_model_of(experiment, contexts)
    kinds = contexts.kinds(experiment.tasks, experiment.all_tasks)
    folder, recipe = RunFolder(Path(run)), experiment.retrain
    with folder.locked():
        source, held_back = open_source(experiment, "train"), open_source(experiment, "val")
        if folder.contexts.is_file() and folder.load_contexts().kinds(experiment.tasks, experiment.all_tasks) != kinds:
            raise RunError(f"{folder.contexts}: this run has another context config. Choose another --run.")
        folder.begin(experiment, "retrain", resume)
        if not folder.contexts.is_file():
            ContextConfig.from_kinds(kinds, contexts.model, contexts.provenance).save(folder.contexts)
        stage_dir = folder.stage("retrain")
        checkpoint, first = resume_point(stage_dir, resume)
        pl.seed_everything(experiment.seed, verbose=False)
        training = _training(experiment, contexts, folder, source, first)
        trainer = make_trainer(experiment, recipe, stage_dir, "retrain")
        share = {"rank": trainer.global_rank, "world": trainer.world_size}
        loader = training_loader(
            experiment, source, range(len(source)), recipe.batch_size, recipe.steps, first=first, **share
        )
        fit(trainer, training, loader, validation_loader(experiment, held_back, recipe.batch_size, **share), checkpoint)
        if trainer.is_global_zero:
            _keep_best(training.net, stage_dir, folder)
            return evaluate(folder.root, held_lock=True)
        return {}


def _training(
    experiment: Experiment, contexts: ContextConfig, folder: RunFolder, source: Source, first: int
) -> Training:
    net = fixed_network(experiment, contexts)
    if experiment.retrain.inherit:
        _inherit(net, experiment, folder)
    tasks = experiment.resolved_tasks()
    return Training(
        net,
        Objective(tasks, label_states(experiment, source)),
        {name: tasks[name] for name in experiment.tasks},
        experiment.retrain,
        Table(folder.stage("retrain") / "metrics.csv", METRIC_COLUMNS, first),
        experiment.seed,
    )


def _inherit(net: MultiTaskNet, experiment: Experiment, folder: RunFolder) -> None:
    path = folder.stage("search") / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise CheckpointError(
            f"retrain.inherit: {path} is not there. Search into this run folder first, or set inherit: false."
        )
    inherit(net, network_state(read_checkpoint(path)), supernet(experiment))


def _keep_best(net: MultiTaskNet, stage_dir: Path, folder: RunFolder) -> None:
    net.load_state_dict(network_state(read_checkpoint(best_checkpoint(stage_dir))))
    save_weights(net, folder.weights)


def network_state(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The network's part of a checkpoint."""
    return {
        key.removeprefix("net."): value for key, value in checkpoint["state_dict"].items() if key.startswith("net.")
    }
