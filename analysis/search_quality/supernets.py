"""One search with a supernet, as users run it, and what it chose; the rooms are rendered once per process."""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.search_quality.tables import UNIT
from atrcnas.contextbench.designs import design
from atrcnas.contextbench.table import factored, parse, spell
from atrcnas.data.caching import Cached
from atrcnas.data.loading import open_source
from atrcnas.data.rooms.dataset import Rooms, RoomsOptions
from atrcnas.data.sample import Split
from atrcnas.engine.retrain import retrain
from atrcnas.launch.journal import Journal
from atrcnas.launch.search import search
from atrcnas.launch.supernet import train_evenly
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.tables import LOGITS, read_table
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.datasets import DATASETS, DataSet
from atrcnas.spec.experiment import Experiment

# What each search changes in the bundled experiment.
METHODS: dict[str, tuple[str, ...]] = {
    UNIT: (),
    "soft": ("search.estimator=soft",),
    "paired": (),
    "rows": ("search.strategy=rows",),
    "darts": ("search.strategy=darts",),
    "sampled": ("search.estimator=sampled",),
    "oneshot-random": ("search.strategy=oneshot-random", "search.trials={number: 32}"),
}
KEPT = "rooms-kept"
CONFIG = "global.local/local.global"  # that the unit of cost trains
SCORED = ("rows", "oneshot-random")  # with the weights of one supernet of the seed, evenly trained


@dataclass(frozen=True)
class Found:
    """What a search chose.

    Attributes:
        config: as the table spells it.
        committed: pairs that committed.
        undecided: pairs whose lead was below the gap at the end.
        steps: of the search, or of the supernet.
        seconds: of CPU time, that of the supernet included, rendering left out.
        scores: of every config it scored: ``(config, score by target, score)``.
    """

    config: str
    committed: int
    undecided: int
    steps: int
    seconds: float
    scores: Sequence[tuple[str, dict[str, float], float]] = ()


class _Kept(Rooms):
    """`rooms`, rendered once per process."""

    def __new__(cls, options: RoomsOptions, split: Split, tasks: Iterable[str]) -> Any:
        return _rendered(options.model_dump_json(), split, tuple(tasks))


@functools.cache
def _rendered(options: str, split: Split, tasks: tuple[str, ...]) -> Cached:
    kept = Cached(Rooms(RoomsOptions.model_validate_json(options), split, tasks), 2**40)
    for index in range(len(kept)):
        _ = kept[index]
    return kept


def experiment(table: str, method: str, seed: int, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of one search; `rows` tries each of a target's rows, and the best joined."""
    planned = design(table)
    plain = planned.experiment(table)
    own = [f"seed={seed}", "data.workers=0", "devices=cpu", *METHODS[method]]
    if method == "rows":
        own.append(f"search.trials.number={1 + len(factored(plain.search_space().pools(plain.tasks)))}")
    return kept(planned.experiment(table, [*own, *overrides]))


def kept(asked: Experiment) -> Experiment:
    """The same on rooms that are rendered before it begins."""
    if KEPT not in DATASETS:  # not when this file is imported: nobody else is to see it
        DATASETS.register(DataSet(KEPT, _Kept, "rooms, rendered once per process"))
    asked = asked.replace(data={"name": KEPT})
    open_source(asked, "train")
    return asked


def run(table: str, method: str, seed: int, shared: Path, overrides: Sequence[str] = ()) -> Found:
    """Search once.

    Args:
        table: of ContextBench, whose experiment and space are searched.
        method: of :data:`METHODS`.
        seed: of weights, data and draws.
        shared: run folder of the seed's supernet; trained unless it is there.
        overrides: further changes of the experiment.
    """
    asked, before = experiment(table, method, seed, overrides), 0.0
    if method in SCORED:
        before = _supernet(asked, shared)
        asked = asked.replace(search={"trials": {**asked.search.trials.model_dump(), "supernet": str(shared)}})
    pools = asked.search_space().pools(asked.tasks)
    with tempfile.TemporaryDirectory() as where:
        folder, began = RunFolder(Path(where) / method), time.process_time()
        if method == UNIT:
            retrain(asked, ContextConfig.from_kinds(parse(CONFIG, pools)), folder.root, report=False)
            return Found(CONFIG, 0, 0, asked.retrain.steps, round(time.process_time() - began, 2))
        contexts = search(asked, folder.root)
        seconds = before + time.process_time() - began
        config = spell(contexts.kinds(asked.tasks), pools)
        undecided = len(contexts.provenance.undecided or {})
        return Found(
            config, _committed(folder), undecided, asked.search.steps, round(seconds, 2), _scores(folder, asked)
        )


def _supernet(asked: Experiment, shared: Path) -> float:
    """CPU seconds that the supernet took, now or earlier."""
    note = shared / "cpu_seconds.txt"
    if not note.is_file():
        began = time.process_time()
        train_evenly(asked, shared.absolute())
        note.write_text(f"{time.process_time() - began:.2f}\n")
    return float(note.read_text())


def _committed(folder: RunFolder) -> int:
    if not folder.logits.is_file():
        return 0
    rows = read_table(folder.logits, LOGITS)
    last = rows[rows["step"] == rows["step"].max()]
    return int(last.groupby(["target", "source"])["committed"].max().sum())


def _scores(folder: RunFolder, asked: Experiment) -> list[tuple[str, dict[str, float], float]]:
    if not folder.journal.is_file():
        return []
    pools = asked.search_space().pools(asked.tasks)
    names = {str(pair): pair for pair in pools}
    return [
        (
            spell({names[pair]: kind for pair, kind in entry["sample"].items()}, pools),
            {task: entry.get("by_target", {}).get(task, math.nan) for task in asked.tasks},
            entry["score"],
        )
        for entry in Journal(folder.journal, {}).entries
    ]
