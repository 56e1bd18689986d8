"""Arguments and options that several commands of the command line share, and the words they take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ExperimentArg = Annotated[str, typer.Argument(help="An experiment file, or the name of a bundled one.")]
RunArg = Annotated[Path, typer.Argument(help="A run folder.")]
RunOption = Annotated[Path | None, typer.Option("--run", help="Run folder. [default: runs/NAME]")]
SizeOption = Annotated[
    tuple[int, int] | None,
    typer.Option("--size", help="Height and width that the network runs at. [default: as in validation]"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="Python module to import first, for what it registers; may be repeated."),
]
Overrides = Annotated[list[str] | None, typer.Argument(help="key.path=value ...", show_default=False)]


class Format(StrEnum):
    """Forms of a context config."""

    yaml = "yaml"
    reference_json = "reference-json"


class Split(StrEnum):
    """Images that a network can be scored on."""

    val = "val"
    test = "test"


class Published(StrEnum):
    """Data sets whose archive can be prepared."""

    nyud = "nyud"
    pascal = "pascal"


class Listing(StrEnum):
    """What can be listed."""

    kinds = "kinds"
    tasks = "tasks"
    datasets = "datasets"
    spaces = "spaces"
    experiments = "experiments"
    presets = "presets"
    strategies = "strategies"
    estimators = "estimators"
    optimizers = "optimizers"
    schedules = "schedules"
    loss_weightings = "loss-weightings"
    loggers = "loggers"
