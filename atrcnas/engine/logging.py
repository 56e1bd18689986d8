"""Passes on what a run writes to its loggers: losses, schedules, scores, the heat map of the choice, and all figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from atrcnas.engine.listener import Listener
from atrcnas.engine.training import Report, Training
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_json
from atrcnas.ground.opening import read_regular
from atrcnas.ground.registry import resolve
from atrcnas.loggers.client import Client, Place
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.loggers import LOGGERS

_MAX_BYTES = 100_000


class Loggers(Listener):
    """The loggers of a stage; for the first process.

    Args:
        experiment: which loggers, and the name of the run for them.
        folder: of the run.
    """

    def __init__(self, experiment: Experiment, folder: RunFolder) -> None:
        self.experiment, self.folder = experiment, folder
        self.clients: dict[str, Client] = {}

    def begin(self, training: Training) -> None:
        """Open every logger.

        Raises:
            RunError: a package is missing, or a logger cannot be opened.
        """
        self.clients = open_clients(self.experiment, self.folder, training.stage, training.step)

    def logged(self, training: Training, report: Report) -> None:
        """Losses and schedules."""
        values = dict(report.totals) | {f"{task}/loss": loss for task, loss in report.tasks.items()}
        values |= {f"{task}/factor": factor for task, factor in report.factors.items()}
        self._scalars(f"{training.stage}/train", values, report.step)

    def validated(self, training: Training) -> None:
        """Scores, and the heat map of a search's choice."""
        scores = {f"{task}/{name}": x for task, figures in training.scores.items() for name, x in figures.items()}
        self._scalars(f"{training.stage}/val", {"selection": training.selection, **scores}, training.step)
        if self.clients and training.choice is not None:
            from atrcnas.plots import plot_contexts  # Matplotlib, which a run without loggers does without

            def show(client: Client) -> None:
                picture = plot_contexts(self.folder.contexts, self.folder.plots / "contexts.png")
                client.figure(f"{training.stage}/contexts", picture, training.step)

            tell(self.clients, show)

    def end(self, training: Training) -> None:
        """Close all."""
        tell(self.clients, lambda client: client.close())

    def _scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        tell(self.clients, lambda client: client.scalars(named, step))


def open_clients(experiment: Experiment, folder: RunFolder, part: str, step: int = 0) -> dict[str, Client]:
    """The loggers of an experiment, each continuing what it has already shown of this run.

    Raises:
        RunError: a package is missing, or a logger cannot be opened.
    """
    kept = folder.root / "loggers.json"
    ids = known_ids(kept)
    clients: dict[str, Client] = {}
    for name, options in experiment.logger_options().items():
        needed = LOGGERS[name].needs
        if needed is not None and importlib.util.find_spec(needed) is None:
            raise RunError(f"loggers.{name}: needs '{needed}', which is not installed. Run: pip install {needed}")
        place = Place(folder.root, experiment.name, part, step, ids.get(name))
        try:
            clients[name] = resolve(LOGGERS[name].client)(place, options)
        except Exception as error:  # what a client raises is its own
            raise RunError(f"loggers.{name}: cannot be opened ({_reason(error)}). Correct it, or remove it.") from error
    if clients:
        write_json(kept, {name: client.id for name, client in clients.items()})
    return clients


def known_ids(path: Path) -> dict[str, str | None]:
    """What the loggers call this run, by logger; empty if no file says.

    Raises:
        RunError: it says something else.
    """
    try:
        ids = json.loads(read_regular(path, _MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        ids = None
    if not isinstance(ids, dict) or not all(isinstance(known, str | None) for known in ids.values()):
        raise RunError(f"{path}: expected an id for each logger, got something else. Remove it; they begin anew.")
    return ids


def log_figures(experiment: Experiment, folder: RunFolder, figures: Iterable[Path]) -> None:
    """Pass on the figures of a finished run.

    Raises:
        RunError: see :func:`open_clients`.
    """
    clients = open_clients(experiment, folder, "plots")
    for path in figures:
        tell(clients, lambda client, path=path: client.figure(f"plots/{path.stem}", path, 0))  # type: ignore[misc]
    tell(clients, lambda client: client.close())


def tell(clients: dict[str, Client], what: Callable[[Client], None]) -> None:
    """Call each logger; one that fails is dropped, since a lost connection must not end a training."""
    for name, client in list(clients.items()):
        try:
            what(client)
        except Exception as error:  # what a client raises is its own
            del clients[name]
            print(
                f"loggers.{name}: dropped ({_reason(error)}). The run continues; its CSV files hold everything.",
                file=sys.stderr,
            )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
