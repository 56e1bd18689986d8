"""The table of loggers: what a run is shown in while it trains, besides its own CSV files, which are always written.

A new logger is one file with its client and one registration, here or in a plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from atrcnas.ground.registry import Registry
from atrcnas.spec.schema import Spec


@dataclass(frozen=True)
class Logger:
    """One logger.

    Attributes:
        name: the key below ``loggers``.
        description: one line.
        client: ``(place, options) -> atrcnas.loggers.client.Client``, or its ``"module:Class"`` string.
        options: model of what stands below the key.
        needs: package it cannot work without; looked for when a stage starts.
    """

    name: str
    description: str
    client: Any
    options: type[Spec] = Spec
    needs: str | None = None


class WandbOptions(Spec):
    """Of Weights & Biases."""

    project: str = Field(default="atrcnas", min_length=1, description="project that the run is shown in")
    entity: str | None = Field(default=None, description="user or team; null: the one logged in")
    mode: Literal["online", "offline"] = Field(
        default="online", description="offline: written into the run folder, for a later `wandb sync`"
    )


class MlflowOptions(Spec):
    """Of MLflow."""

    tracking_uri: str | None = Field(default=None, description="of a server or store; null: RUN/mlflow")
    experiment: str = Field(default="atrcnas", min_length=1, description="MLflow experiment that the run belongs to")


_HOME = "atrcnas.loggers"

LOGGERS: Registry[Logger] = Registry("logger")
LOGGERS.register(
    Logger(
        "tensorboard", "event files in RUN/tensorboard", f"{_HOME}.tensorboard_client:Tensorboard", needs="tensorboard"
    )
)
LOGGERS.register(Logger("wandb", "Weights & Biases", f"{_HOME}.wandb_client:Wandb", WandbOptions, needs="wandb"))
LOGGERS.register(
    Logger("mlflow", "MLflow, a server or files", f"{_HOME}.mlflow_client:Mlflow", MlflowOptions, needs="mlflow")
)
