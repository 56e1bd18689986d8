"""A sweep: an ordinary run folder per point, finished ones kept in a journal, and a table of all at the end."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from atrcnas.engine.compare import compare
from atrcnas.engine.compare_table import text
from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.ground.files import read_yaml, write_yaml
from atrcnas.launch.engines import open_pool
from atrcnas.launch.journal import Journal
from atrcnas.launch.pool import Pool
from atrcnas.launch.run_trial import log_to, train_once
from atrcnas.launch.search import search
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.overrides import differences
from atrcnas.spec.sweep import SweepSpec, SweepTrial

RUN = f"{__name__}:run_trial"


def sweep(
    spec: SweepSpec, run: str | Path, resume: bool = False, points: Sequence[SweepTrial] | None = None
) -> Iterator[str]:
    """Search and train, or only train, at every point.

    Args:
        spec: the points and where they run.
        run: folder of the sweep; gets ``sweep.yaml``, ``trials.jsonl`` and the run folder of each, ``trials/NAME``.
        resume: leave out what the journal holds, and continue what has started.
        points: ``spec.trials()``, if that has been called already.

    Yields:
        The lines of `atrcnas compare` over all trials.

    Raises:
        RunError: some trials failed; each named, after all others are done.
        ConfigError: a point is not a valid experiment; raised before any is started.
    """
    points = spec.trials() if points is None else points
    folder = RunFolder(Path(run).absolute())
    with folder.locked():
        _begin(spec, folder.root, resume)
        header = {"points": len(points), "made_of": _digest(points)}
        journal = Journal(folder.sweep_journal, header)
        if journal.header != header:
            raise RunError(
                f"{folder.root}: cannot resume, an experiment, context config or preset of this sweep has changed since it "
                "started. Restore it, or choose another --run."
            )
        finished = _finished(journal)
        with open_pool(spec.launch) as pool:
            failed = _run_all([point for point in points if point.name not in finished], folder.root, pool, journal)
    done = _finished(journal)
    if done:
        yield from text(compare([Path(run) / "trials" / point.name for point in points if point.name in done]))
    if failed:
        raise RunError("\n".join([*failed, f"{len(failed)} of {len(points)} trials failed. Continue with --resume."]))


def _finished(journal: Journal) -> set[str]:
    """Names of the trials that are in the journal."""
    try:
        return {entry["name"] for entry in journal.entries}
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{journal.path}: expected the trials of a sweep, got something else. Restore the file, or choose another --run."
        ) from error


def _digest(points: Sequence[SweepTrial]) -> str:
    """A checksum of everything the trials are made of, whatever files it comes from."""
    digest = hashlib.sha256()
    for point in points:
        made_of = {key: value for key, value in point.experiment.with_space_inline().dump().items() if key != "launch"}
        contexts = None if point.contexts is None else ContextConfig.load(point.contexts).dump()
        digest.update(json.dumps([point.name, made_of, contexts], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _begin(spec: SweepSpec, root: Path, resume: bool) -> None:
    path, value = RunFolder(root).sweep, spec.model_dump(by_alias=True, mode="json")
    if path.is_file():
        if not resume:
            raise RunError(f"{root}: this sweep has already started. Add --resume to go on, or choose another --run.")
        before = read_yaml(path, "sweep")
        same = before if isinstance(before, Mapping) else {}
        there, here = ({key: one.get(key) for key in value if key != "launch"} for one in (same, value))
        differing = differences(there, here)
        if differing:
            raise RunError(f"{path}: cannot resume, the sweep differs in {differing}. Choose another --run.")
    write_yaml(path, value)


def _run_all(points: Sequence[SweepTrial], root: Path, pool: Pool, journal: Journal) -> list[str]:
    """Run the points, writing down each that ends; returns the messages of those that failed."""
    running: dict[Future[dict[str, Any]], SweepTrial] = {}
    failed: list[str] = []
    for point in points:
        try:
            running[pool.submit(RUN, _payload(point, root))] = point
        except AtrcnasError as error:  # a pool in this process makes the call at once
            failed.append(f"trial {point.name}: {error}")
        if len(running) >= pool.workers:
            failed += _harvest(running, journal)
    while running:
        failed += _harvest(running, journal)
    return failed


def _harvest(running: dict[Future[dict[str, Any]], SweepTrial], journal: Journal) -> list[str]:
    failed = []
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        point = running.pop(future)
        try:
            journal.append({"name": point.name, **future.result()})
        except AtrcnasError as error:
            failed.append(f"trial {point.name}: {error}")
        else:
            print(f"trial {point.name}: done, {len(journal.entries)} in all", file=sys.stderr, flush=True)
    return failed


def _payload(point: SweepTrial, root: Path) -> dict[str, Any]:
    # A trial's own trials run in its process: pools inside the workers would fight over the cores.
    experiment = point.experiment.replace(launch={"engine": "local", "workers": 1, "address": None, "resources": {}})
    return {"experiment": experiment.dump(), "contexts": point.contexts, "folder": str(root / "trials" / point.name)}


def run_trial(payload: Mapping[str, Any]) -> dict[str, Any]:
    """One point in its run folder; continues what a dead worker left, and reads what one finished.

    Args:
        payload: ``experiment`` (plain values), ``contexts`` (a file or preset, or None to search) and ``folder``.

    Returns:
        ``selection``, the ``scores`` and the ``seconds`` it took.
    """
    experiment, began = Experiment.load(payload["experiment"]), time.monotonic()
    folder = RunFolder(Path(payload["folder"]))
    with log_to(folder.root / "log.txt"):
        if payload["contexts"] is not None:
            contexts = ContextConfig.load(payload["contexts"])
        elif folder.stage("retrain").exists():
            contexts = folder.load_contexts()
        else:
            contexts = search(experiment, folder.root, resume=True)
        results = train_once(experiment, contexts, folder)
    return {
        "selection": results["selection"],
        "scores": results["scores"],
        "seconds": round(time.monotonic() - began, 2),
    }
