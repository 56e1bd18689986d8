"""A whole run folder, made up: every file that the page reads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atrcnas.ground.files import write_json, write_yaml
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS
from tests.conftest import TINY
from tests.unit.plots.run_files import contexts, write_run, write_sample

TASK_NAMES = ("semseg", "depth", "normals", "edge")
COST = {"parameters": 12_300, "multiply_adds": 4_560_000}


def make_run(
    run_dir: Path, tasks: Sequence[str] = TASK_NAMES, size: tuple[int, int] | None = None, seed: int = 3
) -> Path:
    """A run that has ended; ``size`` is that of its samples."""
    write_run(run_dir, tasks, num_samples=4)
    folder, value = RunFolder(run_dir), contexts(tasks)
    folder.checkpoints("search").mkdir()
    first, second = list(value["provenance"]["probabilities"])[:2]
    value["provenance"] |= {"strategy": "gumbel", "step": 40000, "undecided": {first: 0.12, second: 0.25}}
    write_yaml(folder.contexts, value)
    write_yaml(folder.experiment, experiment(tasks, seed).with_space_inline().dump())
    write_json(folder.environment, {"atrcnas": "0.1", "device": "x86_64", "commit": None})
    write_json(folder.results, results(tasks, [str(pair) for pair in value["provenance"]["probabilities"]], seed))
    for index in range(4 if size else 0):
        write_sample(run_dir / f"samples/{index:04d}.npz", tasks, size or (0, 0), seed=index)
    return run_dir


def experiment(tasks: Sequence[str], seed: int = 3) -> Experiment:
    value = copy.deepcopy(TINY)
    return Experiment.load({**value, "tasks": list(tasks), "seed": seed, "search": {"steps": 40000}})


def results(tasks: Sequence[str], pairs: Sequence[str], seed: int = 3) -> dict[str, Any]:
    latency = {"median": 6.5, "low": 6.0, "high": 7.0, "repeats": 20, "threads": 2, "device": "cpu"}
    return {
        "scores": {task: {TASKS[task].score: 0.4 + 0.01 * seed} for task in tasks},
        "keep": "last",
        "selected_on": {"split": "train", "samples": 4, "scores": {}},
        "seconds": {"search": 61.2, "retrain": 83.4, "evaluate": 5.0},
        "costs": {
            "image_size": [64, 96],
            "parameters": 574_000,
            "multiply_adds": 132_000_000,
            "latency_ms": latency,
            "latency_ms_deployed": {"onnxruntime": {**latency, "median": 3.25}},
            "pairs": dict.fromkeys(pairs, COST),
        },
    }
