"""What a recipe of the main tables was chosen by: the baseline, on training images that it was not trained on.

python -m analysis.main_table.recipe rooms-small-pascal

Started again it goes on where it was. No seed here is one of a main table.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from analysis.contextbench.one_run import prepare, rendered, validate
from analysis.filling import fill, read
from analysis.main_table.settings import SETTINGS, Setting
from analysis.main_table.systems import BASELINE
from atrcnas.data.caching import Cached
from atrcnas.runs.tables import Columns
from atrcnas.spec.context_config import ContextConfig

SEEDS = (10, 11, 12)
SHARE = 0.1  # of the training images
WEIGHTS, RATES = (1, 5, 10, 20), (0.004, 0.001)
# What is tried: sections of the experiment; the main table has one of them.
TRIED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "rooms-small-pascal": {
        f"class weight of a part {weight}": {"task_options": {"human_parts": {"class_weights": [1, *[weight] * 6]}}}
        for weight in WEIGHTS
    },
    "rooms-hrnet18": {f"learning rate {rate}": {"retrain": {"learning_rate": rate}} for rate in RATES},
}


def columns(setting: Setting) -> Columns:
    """A score per task."""
    scores = [f"{name}.{task.score}" for name, task in setting.experiment().resolved_tasks().items()]
    return {"tried": str, "seed": int, **dict.fromkeys(scores, float)}


def measure(setting: Setting, tried: str, seed: int) -> dict[str, Any]:
    """Train the baseline as the main table does, but for the share that it is then scored on."""
    changed = setting.experiment().replace(seed=seed, data={"selection": SHARE}, **TRIED[setting.name][tried])
    prepared = prepare(changed, ContextConfig.load(BASELINE), _rendered(setting))
    while prepared.training.step < changed.retrain.steps:
        prepared.step()
    splits = prepared.splits
    scores = validate(prepared._replace(splits=replace(splits, val=splits.train)), "selection", splits.selection)
    return {name: scores[f"{name}.selection"] for name in columns(setting) if "." in name}


@functools.cache
def _rendered(setting: Setting) -> tuple[Cached, Cached]:
    return rendered(setting.experiment())


def lines(setting: Setting) -> Iterator[str]:
    """The table: means and deviations over seeds."""
    form = columns(setting)
    rows = read(setting.file("recipe"), form).groupby("tried", sort=False)
    scores = [name for name in form if "." in name]
    yield f"| | {' | '.join(scores)} | seeds |"
    yield "|---" * (len(scores) + 2) + "|"
    for tried, found in rows:
        cells = [f"{found[name].mean():.3f} ± {found[name].std():.3f}" for name in scores]
        yield f"| {tried} | {' | '.join(cells)} | {len(found)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(TRIED))
    setting = SETTINGS[parser.parse_args().setting]
    torch.set_num_threads(1)
    entries = [(tried, seed) for seed in SEEDS for tried in TRIED[setting.name]]
    for row in fill(
        setting.file("recipe"), columns(setting), entries, functools.partial(measure, setting), float("inf")
    ):
        print(row, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
