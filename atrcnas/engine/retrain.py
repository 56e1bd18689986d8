"""Training of the fixed network of a context config, from scratch, the supernet's weights or the reference's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from atrcnas.data.loading import training_loader
from atrcnas.engine.checkpoints import Checkpoints, read_checkpoint, save_weights, trained_weights
from atrcnas.engine.class_weights import weighted_tasks
from atrcnas.engine.devices import connect, place
from atrcnas.engine.evaluate import score_run
from atrcnas.engine.init_reference import like_reference, read_reference, reference_label_states
from atrcnas.engine.label_states import label_states
from atrcnas.engine.labels_check import require_labels
from atrcnas.engine.networks import fixed_network, supernet, with_model_of
from atrcnas.engine.splits import open_splits
from atrcnas.engine.stage import begin, run_stage
from atrcnas.engine.training import Training, build_weighting
from atrcnas.engine.weights import Weights
from atrcnas.ground.errors import CheckpointError
from atrcnas.ground.files import write_atomically
from atrcnas.nn.atrc_weights import load_network
from atrcnas.nn.inherit import inherit
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.objective import Objective
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.tables import read_metrics
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment


def retrain(
    experiment: Experiment,
    contexts: ContextConfig,
    run: str | Path,
    resume: bool = False,
    init_reference: Path | None = None,
    report: bool = True,
    until: int | None = None,
) -> dict[str, Any]:
    """Train the fixed network and score it.

    Args:
        experiment: what to train on; its ``retrain`` section is the recipe.
        contexts: one kind per pair; its ``model`` settings are laid over the experiment's.
        run: run folder; gets ``retrain/``, ``model.safetensors``, ``results.json`` and ``samples/``.
        resume: continue from the last checkpoint of ``run``.
        init_reference: checkpoint of the ATRC reference implementation to start from.
        report: score on the validation split too; off where many are trained to choose among.
        until: steps completed when to leave; a later call with ``resume`` goes on. None: all.

    Returns:
        What ``results.json`` holds, or ``selection`` alone where steps are left; nothing in the other processes of a
        distributed training.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    experiment = with_model_of(experiment, contexts)
    if init_reference is not None:
        experiment = like_reference(experiment)
    fabric = connect(experiment)
    folder, recipe = RunFolder(Path(run)), experiment.retrain
    with folder.locked(fabric.is_global_zero):
        splits = open_splits(experiment)
        require_labels(experiment, splits)
        folder.check_contexts(contexts, experiment)
        net, states = _start(experiment, contexts, folder, init_reference)
        states = {**label_states(experiment, splits.train, splits.weights), **states}
        objective = Objective(weighted_tasks(experiment, splits.train, splits.weights), states)
        training = fixed_training(net, objective, experiment, fabric)
        stage = begin(experiment, folder, resume, training, keeps_best=recipe.keep == "best")
        folder.keep_contexts(contexts, experiment)
        batches = training_loader(
            experiment, splits.train, splits.weights, recipe.batch_size, recipe.steps, **stage.share
        )
        run_stage(stage, batches, splits, until=until)
        if not fabric.is_global_zero:
            return {}
        if training.step < recipe.steps:
            return {"selection": _selection(folder, training.step)}
        if recipe.keep == "best":
            write_atomically(folder.weights, lambda temporary: shutil.copyfile(stage.checkpoints.best, temporary))
        else:
            save_weights(training.weights.evaluated, folder.weights)
        return score_run(folder, report=report, seconds={"retrain": round(stage.clock.seconds, 2)})


def _selection(folder: RunFolder, step: int) -> float:
    """The total score after a step, from the table: a training that was there already has not been validated again."""
    series = read_metrics(folder.metrics("retrain"))["val", "", "selection"]
    return float(series.values[series.steps == step][-1])


def _start(
    experiment: Experiment, contexts: ContextConfig, folder: RunFolder, init_reference: Path | None
) -> tuple[MultiTaskNet, dict[str, Tensor]]:
    """The network before its first step, and the label encoders' states that come with its weights."""
    net = fixed_network(experiment, contexts)
    if experiment.retrain.inherit:
        _inherit(net, experiment, folder)
    if init_reference is None:
        return net, {}
    given = read_reference(init_reference)
    try:
        load_network(net, given)
        return net, reference_label_states(experiment.resolved_tasks(), given)
    except CheckpointError as error:
        raise CheckpointError(f"{init_reference}: {error}") from error


def fixed_training(net: MultiTaskNet, objective: Objective, experiment: Experiment, fabric: Fabric) -> Training:
    """The training of a fixed network before its first step.

    Args:
        net: placed on the devices of ``fabric``.
        objective: its losses.
        experiment: its ``retrain`` section is the recipe.
        fabric: devices and precision.
    """
    weighting = build_weighting(objective.tasks, experiment.retrain)
    for module in (net, objective, weighting):
        place(fabric, module, experiment.precision)
    return Training(
        fabric,
        "retrain",
        Weights(net, experiment.retrain),
        objective,
        experiment.predicted_tasks(),
        experiment.retrain,
        experiment.seed,
        sync_batchnorm=experiment.sync_batchnorm,
        weighting=weighting,
    )


def _inherit(net: MultiTaskNet, experiment: Experiment, folder: RunFolder) -> None:
    path = Checkpoints(folder.checkpoints("search")).last
    if not path.is_file():
        raise CheckpointError(
            f"retrain.inherit: {path} is not there. Search into this run folder first, or set inherit: false."
        )
    inherit(net, trained_weights(read_checkpoint(path)), supernet(experiment))
