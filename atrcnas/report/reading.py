"""What a run folder has to show so far; a file that is missing leaves a gap, a damaged one a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.ground.opening import read_regular
from atrcnas.ground.registry import Registry
from atrcnas.plots.curves import Panels, loss_panels, score_panels
from atrcnas.plots.probabilities import read_probabilities
from atrcnas.plots.registry import NothingToDraw
from atrcnas.report.gallery import Gallery, read_gallery
from atrcnas.runs.folder import STAGES, RunFolder
from atrcnas.runs.results import read_results
from atrcnas.runs.tables import BUDGET, read_table
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS, Task

ReadT = TypeVar("ReadT")
_MAX_BYTES = 10**6


@dataclass
class RunView:
    """One run, as far as it has come.

    Attributes:
        folder: of the run.
        experiment: what it was made with.
        tasks: the task table as the experiment has it.
        contexts: the answer, or the choice so far.
        losses: losses and schedules.
        scores: scores while training.
        chances: probabilities of each kind by step, from a search by gradient.
        budget: what the search has spent, and the scores it has found with it.
        results: what results.json holds.
        environment: versions, device and threads.
        gallery: pictures.
        problems: one message for each file that cannot be read.
    """

    folder: RunFolder
    experiment: Experiment | None = None
    tasks: Registry[Task] = field(default_factory=lambda: TASKS)
    contexts: ContextConfig | None = None
    losses: Panels | None = None
    scores: Panels | None = None
    chances: pd.DataFrame | None = None
    budget: pd.DataFrame | None = None
    results: dict[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    gallery: Gallery | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.folder.root.resolve().name

    def read(self, path: Path, reader: Callable[[], ReadT]) -> ReadT | None:
        """Read a file or folder that may be missing; say so once if it is damaged."""
        if not path.exists():
            return None
        try:
            return reader()
        except NothingToDraw:
            return None
        except AtrcnasError as error:
            self.problems.append(str(error))
            return None


def read_run(run: Path, shared_by: int = 1) -> RunView:
    """Read a run folder in any state.

    Args:
        run: the folder.
        shared_by: runs on the page; the more, the fewer pictures of each.

    Raises:
        RunError: there is no such folder, or it holds no file of a run.
    """
    folder = RunFolder(run)
    view = RunView(folder)
    if not (folder.experiment.is_file() or folder.contexts.is_file() or any(map(folder.begun, STAGES))):
        raise RunError(f"{run}: expected a run folder, got none. Check the path, or start the run first.")
    view.experiment = view.read(folder.experiment, folder.load_experiment)
    if view.experiment is not None:
        view.tasks = TASKS.with_records(view.experiment.resolved_tasks().values())
    view.contexts = view.read(folder.contexts, folder.load_contexts)
    stages = {stage: folder.metrics(stage) for stage in STAGES if folder.metrics(stage).is_file()}
    if stages:
        # By stage, so that a damaged table of one does not hide the other.
        whole = {stage: path for stage, path in stages.items() if _readable(view, stage, path)}
        view.losses = view.read(run, lambda: loss_panels(whole)) if whole else None
        view.scores = view.read(run, lambda: score_panels(whole, view.tasks)) if whole else None
    view.chances = view.read(folder.logits, lambda: read_probabilities(folder.logits))
    view.budget = view.read(folder.budget, lambda: read_table(folder.budget, BUDGET))
    view.results = view.read(folder.results, lambda: read_results(run))
    view.environment = view.read(folder.environment, lambda: _read_object(folder.environment)) or {}
    view.gallery = view.read(folder.samples, lambda: read_gallery(folder.samples, shared_by, view.tasks))
    return view


def _readable(view: RunView, stage: str, path: Path) -> bool:
    return view.read(path, lambda: loss_panels({stage: path})) is not None


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_regular(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: expected JSON, got something else ({error}). Restore the file.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected a mapping, got a {type(value).__name__}. Restore the file.")
    return value
