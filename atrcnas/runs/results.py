"""A finished run as `atrcnas compare` needs it: the checked content of its results.json, and what it was made with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import nan_to_null, write_json
from atrcnas.ground.opening import read_regular
from atrcnas.runs.folder import FREE, RunFolder, asked
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

_MAX_BYTES = 10**7
# Neither these nor, in a run that searched nothing, the settings of a search change what is trained.
_NO_PART = ("seed", "name", *FREE)
_OF_THE_SEARCH = ("search", "space")


class Latency(BaseModel):
    """Latency of one image's forward pass in milliseconds, and where it was measured."""

    model_config = ConfigDict(strict=True, extra="allow")

    median: float
    threads: int
    device: str


class Costs(BaseModel):
    """Costs at one image size (height, width)."""

    model_config = ConfigDict(strict=True, extra="allow")

    image_size: list[int] = Field(min_length=2, max_length=2)
    parameters: int
    multiply_adds: int
    latency_ms: Latency


_Score = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class SelectedOn(BaseModel):
    """What states and configs were chosen on: a split and the number of its samples."""

    model_config = ConfigDict(strict=True, extra="allow")

    split: str = "val"
    samples: int = 0


class _Results(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    scores: dict[str, dict[str, _Score]]
    costs: Costs
    keep: str = "best"  # files of earlier versions: the best on the reported split
    selected_on: SelectedOn = SelectedOn()
    scores_on: str = "val"
    config_by_trials: bool = False


@dataclass(frozen=True)
class Finished:
    """A run that has been scored.

    Attributes:
        path: of the run folder.
        key: equal for runs that differ in nothing but the seed.
        tasks: the predicted tasks.
        figures: task -> name of its first score.
        scores: task -> its first score, in the score's unit.
        costs: parameters, multiply-adds and latency, with the image's size.
        steps: of the training that is scored.
        chose_on_report: the checkpoint kept was chosen by the split that is reported.
    """

    path: Path
    key: str
    tasks: Mapping[str, Task]
    figures: Mapping[str, str]
    scores: Mapping[str, float]
    costs: Costs
    steps: int
    chose_on_report: bool


def read_finished(run: Path) -> Finished:
    """Read the results of one run.

    Raises:
        RunError: no run folder, or its results.json is missing, damaged or lacks figures.
    """
    folder = RunFolder(run)
    experiment = folder.load_experiment()
    results = _read_results(folder.results, run)
    if set(results.scores) != set(experiment.tasks) or not all(results.scores.values()):
        raise RunError(
            f"{folder.results}: expected scores of {', '.join(experiment.tasks)}, got "
            f"{', '.join(name for name, figures in results.scores.items() if figures) or 'none'}. {_way_out(run)}"
        )
    if results.scores_on != "val":
        raise RunError(
            f"{folder.results}: expected scores on the validation split, got those of a trial, on what configs are chosen "
            f"on. {_way_out(run)}"
        )
    figures = {name: next(iter(results.scores[name])) for name in experiment.tasks}
    return Finished(
        path=run,
        key=_key(folder, experiment),
        tasks=experiment.predicted_tasks(),
        figures=figures,
        scores={name: results.scores[name][figure] for name, figure in figures.items()},
        costs=results.costs,
        steps=experiment.retrain.steps,
        chose_on_report=(results.keep == "best" or results.config_by_trials) and results.selected_on.split == "val",
    )


def read_results(run: Path) -> dict[str, Any]:
    """What ``results.json`` of a run holds; NaN for a score that it has as null.

    Raises:
        RunError: it is missing, damaged or lacks figures.
    """
    return _read_results(RunFolder(run).results, run).model_dump()


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write ``results.json``: a score that is not finite as null, with the reason under ``undefined``."""
    undefined = {
        f"{task}.{name}": f"{score}: no pixel to score, or a prediction that is not finite"
        for task, figures in results["scores"].items()
        for name, score in figures.items()
        if not math.isfinite(score)
    }
    told = {"undefined": undefined} if undefined else {}
    write_json(path, nan_to_null({**results, **told}))


def _read_results(path: Path, run: Path) -> _Results:
    try:
        return _Results.model_validate(json.loads(read_regular(path, _MAX_BYTES)))
    except FileNotFoundError as error:
        raise RunError(f"{path}: not there yet. {_way_out(run)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise RunError(f"{path}: {where}: {first['msg']}. {_way_out(run)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: expected JSON, got something else ({error}). {_way_out(run)}") from error


def _way_out(run: Path) -> str:
    return f"Run `atrcnas evaluate {run}`, which writes it again."


def _key(folder: RunFolder, experiment: Experiment) -> str:
    """The experiment without its seed, and the kinds; where the run searched them itself, they are a result."""
    settings = {key: value for key, value in experiment.dump().items() if key not in _NO_PART}
    if folder.begun("search"):
        settings = asked(settings)
        return json.dumps([settings, "searched"], sort_keys=True)
    settings = {key: value for key, value in settings.items() if key not in _OF_THE_SEARCH}
    kinds = folder.load_contexts().kinds(experiment.tasks, experiment.all_tasks)
    return json.dumps([settings, {str(pair): kind for pair, kind in kinds.items()}], sort_keys=True)
