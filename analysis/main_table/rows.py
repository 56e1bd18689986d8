"""The rows of a main table: their columns, and Delta_m against the baseline of the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.main_table.settings import Setting
from analysis.main_table.systems import BASELINE
from atrcnas.contextbench.table import Kinds
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.tables import Columns, read_table
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import BASE_LEVEL, all_pairs

COSTS = {"parameters": int, "multiply_adds": int, "train_seconds": float}


def columns(experiment: Experiment) -> Columns:
    """``config`` is spelled as in ContextBench; seconds are of one thread's processor time."""
    tasks = experiment.resolved_tasks().items()
    figures = [f"{name}.{figure}" for name, task in tasks for figure in (task.score, "loss")]
    names = {"system": str, "seed": int, "config": str}
    return {**names, **dict.fromkeys(figures, float), "search_seconds": float, **COSTS}


def kinds_of(config: str, tasks: Sequence[str]) -> Kinds:
    """The kind of each pair, of the config of a row."""
    kinds = [kind for row in config.split("/") for kind in row.split(".")]
    return dict(zip(all_pairs(tasks, (BASE_LEVEL,)), kinds, strict=True))


def rows_of(setting: Setting) -> pd.DataFrame:
    """The stored rows of a table, as :func:`with_delta_m` gives them."""
    return with_delta_m(setting.experiment(), setting.file("main_table"))


def with_delta_m(experiment: Experiment, path: Path) -> pd.DataFrame:
    """The rows with ``delta_m``, percent over the multi-task baseline that was trained with the same seed.

    Rows of a seed without a baseline are left out.
    """
    table = read_table(path, columns(experiment)).drop_duplicates(["system", "seed"])
    tasks = experiment.resolved_tasks()
    scores = {
        seed: {name: row[f"{name}.{task.score}"] for name, task in tasks.items()} for seed, row in _baselines(table)
    }
    rows = table[table["seed"].isin(scores)]
    gains = [
        multi_task_gain({n: row[f"{n}.{t.score}"] for n, t in tasks.items()}, scores[int(row["seed"])], tasks.values())
        for _, row in rows.iterrows()
    ]
    return rows.assign(delta_m=gains)


def _baselines(table: pd.DataFrame) -> list[tuple[int, pd.Series]]:
    own = table[table["system"] == BASELINE]
    return [(int(row["seed"]), row) for _, row in own.iterrows()]
