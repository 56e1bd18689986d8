"""The table: one row per trained (config, seed); how its configs are spelled, and which columns it has."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.tables import Columns, read_table
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import Task

BASELINE = "baseline"  # the preset that Delta_m is against
LENGTHS = {"quarter": 0.25, "half": 0.5, "full": 1.0}  # share of the training steps
LATENCY: Columns = {"config": str, "latency_ms": float, "latency_ratio": float}
Pools = Mapping[Pair, Sequence[str]]
Kinds = Mapping[Pair, str]


def columns(tasks: Mapping[str, Task]) -> Columns:
    """Column -> type: ``semseg.miou.half`` is the score after half of the steps, ``semseg.loss.half`` the loss."""
    figures = [
        f"{name}.{figure}.{length}"
        for name, task in tasks.items()
        for figure in (task.score, "loss")
        for length in LENGTHS
    ]
    return {"config": str, "seed": int, "seconds": float, "multiply_adds": int, **dict.fromkeys(figures, float)}


def spell(kinds: Kinds, pools: Pools) -> str:
    """The name of a config, ``local.none/none.global``: a row per target, in it the kind from each source."""
    targets = dict.fromkeys(pair.target for pair in pools)
    return "/".join(".".join(kinds[pair] for pair in pools if pair.target == target) for target in targets)


def parse(config: str, pools: Pools) -> dict[Pair, str]:
    """The kinds of a config that :func:`spell` named.

    Raises:
        ConfigError: another number of kinds, or one that the pool of its pair does not have.
    """
    targets = list(dict.fromkeys(pair.target for pair in pools))
    rows = [row.split(".") for row in config.split("/")]
    expected = [[pair for pair in pools if pair.target == target] for target in targets]
    if [len(row) for row in rows] != [len(pairs) for pairs in expected]:
        example = spell({pair: pool[0] for pair, pool in pools.items()}, pools)
        raise ConfigError(
            f"config: expected a kind for each of {', '.join(map(str, pools))} in a form like '{example}', "
            f"got '{config:.80}'. Correct it."
        )
    kinds = {
        pair: kind for pairs, row in zip(expected, rows, strict=True) for pair, kind in zip(pairs, row, strict=True)
    }
    for pair, kind in kinds.items():
        if kind not in pools[pair]:
            raise ConfigError(
                f"config: '{pair}': expected one of {', '.join(pools[pair])}, got '{kind:.40}'. Correct it."
            )
    return kinds


def all_rows(pools: Pools) -> dict[str, list[str]]:
    """Every row of kinds that a target may have, by name; by target."""
    own: dict[str, list[Sequence[str]]] = {}
    for pair, pool in pools.items():
        own.setdefault(pair.target, []).append(pool)
    return {target: [".".join(chosen) for chosen in itertools.product(*offered)] for target, offered in own.items()}


def num_configs(pools: Pools) -> int:
    """How many configs the space has."""
    return math.prod(len(pool) for pool in pools.values())


def all_configs(pools: Pools) -> list[str]:
    """Every config of the space, by name."""
    return ["/".join(rows) for rows in itertools.product(*all_rows(pools).values())]


def factored(pools: Pools) -> list[str]:
    """Few configs in which every row of every target occurs: the i-th takes each target's i-th row, own kind first."""
    by_target: dict[str, list[Pair]] = {}
    for pair in sorted(pools, key=lambda pair: not pair.on_diagonal):
        by_target.setdefault(pair.target, []).append(pair)
    rows = [
        [dict(zip(pairs, chosen, strict=True)) for chosen in itertools.product(*(pools[pair] for pair in pairs))]
        for pairs in by_target.values()
    ]
    count = max(map(len, rows))
    configs = [{pair: kind for row in rows for pair, kind in row[i % len(row)].items()} for i in range(count)]
    return [spell(config, pools) for config in configs]


def read(path: Path, tasks: Mapping[str, Task], latencies: Path | None = None) -> pd.DataFrame:
    """The rows of a table, with ``semseg.gain.full`` (percent over the baseline of the same seed) and ``delta_m.full``.

    A gain is NaN where the baseline of that seed was not trained; ``latency_ms`` and ``latency_ratio`` (to the
    baseline's) where the config was not timed.

    Args:
        path: the trained rows.
        tasks: the predicted tasks by name.
        latencies: the timed configs; a file that is not there holds none.

    Raises:
        RunError: missing, or damaged.
    """
    table = read_table(path, columns(tasks)).drop_duplicates(["config", "seed"]).set_index(["config", "seed"])
    reference = table[table.index.get_level_values("config") == BASELINE].droplevel("config")
    compared = table.join(reference, on="seed", rsuffix=" of the baseline")
    for length in LENGTHS:
        for name, task in tasks.items():
            score = f"{name}.{task.score}.{length}"
            table[f"{name}.gain.{length}"] = [
                multi_task_gain({name: own}, {name: other}, [task])
                for own, other in compared[[score, f"{score} of the baseline"]].to_numpy()
            ]
        table[f"delta_m.{length}"] = table[[f"{name}.gain.{length}" for name in tasks]].mean(axis=1, skipna=False)
    timed = pd.DataFrame(columns=list(LATENCY)).astype(dict(LATENCY))
    if latencies is not None and latencies.is_file():
        timed = read_table(latencies, LATENCY)
    return table.join(timed.drop_duplicates("config").set_index("config"), on="config").sort_index()
