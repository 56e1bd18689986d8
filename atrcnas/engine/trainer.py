"""The pytorch-lightning trainer of one stage, and the seams between it and a run folder."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from atrcnas.engine.checkpoints import AtomicCheckpoints, read_checkpoint
from atrcnas.engine.progress import ShowProgress
from atrcnas.engine.training import Training
from atrcnas.ground.errors import CheckpointError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.recipe import TrainSpec

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}


def make_trainer(experiment: Experiment, recipe: TrainSpec, stage_dir: Path, stage: str) -> pl.Trainer:
    """A trainer that runs one epoch of ``recipe.steps`` batches and keeps the last and the best checkpoint."""
    _quieten()
    cpu = experiment.devices == "cpu" or not torch.cuda.is_available()
    where: dict[str, Any] = {
        "dirpath": stage_dir / "checkpoints",
        "enable_version_counter": False,
        "save_on_train_epoch_end": False,
        "auto_insert_metric_name": False,
    }
    # Two callbacks: with one, `save_last` follows only a new best. Best first: last then holds its state.
    best = ModelCheckpoint(filename="best", monitor="selection", mode="max", **where)
    last = ModelCheckpoint(filename="last", **where)
    devices: Any = 1 if experiment.devices in ("auto", "cpu") else experiment.devices
    return pl.Trainer(
        accelerator="cpu" if cpu else "gpu",
        devices=devices,
        precision=PRECISIONS[experiment.precision],
        max_epochs=1,
        val_check_interval=min(recipe.validate_every, recipe.steps),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[best, last, ShowProgress(stage)],
        plugins=[AtomicCheckpoints()],
        default_root_dir=stage_dir,
    )


def resume_point(stage_dir: Path, resume: bool) -> tuple[Path | None, int]:
    """The checkpoint to go on from, and its step; (None, 0) to begin at the beginning.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    last = stage_dir / "checkpoints" / "last.ckpt"
    if not resume or not last.is_file():
        return None, 0
    state = read_checkpoint(last)
    try:
        step = int(state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{last}: not a checkpoint of this toolkit (no step in it). Begin anew.") from error
    return last, step


def fit(trainer: pl.Trainer, training: Training, loader: Any, validation: Any, checkpoint: Path | None) -> None:
    """Train to the end."""
    trainer.fit(training, loader, validation, ckpt_path=None if checkpoint is None else str(checkpoint))


def best_checkpoint(stage_dir: Path) -> Path:
    """The checkpoint with the best selection score."""
    return stage_dir / "checkpoints" / "best.ckpt"


def _quieten() -> None:
    """Lightning's advice does not apply: loaders and checkpoints are ours on purpose."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
