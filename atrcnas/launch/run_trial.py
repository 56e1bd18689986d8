"""What a worker does: one trial in a run folder of its own, which holds its config and its score."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atrcnas.engine.networks import context_config
from atrcnas.engine.retrain import retrain
from atrcnas.ground.files import make_folder, writing_to
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair

TRAIN = f"{__name__}:train"


def train(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Train one config and score it; continues what a dead worker left, and reads what one finished.

    Args:
        payload: ``experiment`` (plain values), ``sample`` (kind per pair), ``folder``, the ``share`` of the steps to reach
            and the one reached ``before``.

    Returns:
        The config read back from the folder, with its ``score``, ``share``, ``steps``, ``seconds``, ``seed`` and ``folder``.
    """
    experiment = Experiment.load(payload["experiment"])
    since, until = (math.ceil(payload[end] * experiment.retrain.steps) for end in ("before", "share"))
    kinds = {Pair.parse(pair): kind for pair, kind in payload["sample"].items()}
    folder, began = RunFolder(Path(payload["folder"])), time.monotonic()
    contexts = context_config(experiment, kinds, Provenance(experiment=experiment.name, seed=experiment.seed))
    with log_to(folder.root / "log.txt"):
        results = train_once(experiment, contexts, folder, report=False, until=until)
    made = folder.load_contexts().kinds(experiment.tasks, experiment.all_tasks)
    return {
        "sample": {str(pair): kind for pair, kind in made.items()},
        "score": float(results["selection"]),
        "share": payload["share"],
        "steps": until - since,
        "seconds": round(time.monotonic() - began, 2),
        "seed": experiment.seed,
        "folder": folder.root.name,
    }


def train_once(
    experiment: Experiment, contexts: ContextConfig, folder: RunFolder, report: bool = True, until: int | None = None
) -> dict[str, Any]:
    """Train to the end or up to a step, from a checkpoint if there is one; not again if the results are there.

    The checkpoints of a finished trial are removed: many trials would fill the disk with them.
    """
    if not folder.results.is_file():
        found = retrain(experiment, contexts, folder.root, resume=True, report=report, until=until)
        if not folder.results.is_file():
            return found
    shutil.rmtree(folder.checkpoints("retrain"), ignore_errors=True)
    return read_results(folder.root)


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Let the progress of a trial go to a file; among that of other trials it would be unreadable.

    Raises:
        RunError: the file cannot be written.
    """
    with writing_to(path):
        make_folder(path.parent)
    with contextlib.redirect_stderr(_Log(path)):
        yield


class _Log(io.TextIOBase):
    """A text stream that adds to a file; it is opened for each piece, so that no error waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> int:
        with writing_to(self._path), self._path.open("a", encoding="utf-8") as stream:
            return stream.write(text)
