"""Train every encoder tree of a small experiment, to see which trees are good and what a choice of tree is worth.

python -m analysis.branch_table [--rows 20]       trains what the table lacks, row by row
python -m analysis.branch_choices                 what the search, RSA and TAG choose there
python -m analysis.branch_summary                 what the table says of all this, and a figure

Three tasks on `rooms` at 48 x 64, a backbone of four convolutions of which the first is shared, and three branching points
after it: 22 trees, each with three seeds, at most 40 processor minutes in all. Started again it goes on where it was.
Trees of a seed see the same batches. Delta_m is against the tree in which all tasks are apart, of the same seed.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from analysis.contextbench.one_run import rendered, run
from analysis.filling import left
from analysis.places import RESULTS
from analysis.tree_candidates import with_branches
from atrcnas import ContextConfig, Experiment
from atrcnas.data.caching import Cached
from atrcnas.ground.files import write_text
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.sampling.trees import all_trees, as_branches
from atrcnas.spec.branches import Branches

OUT = RESULTS / "branch_table.csv"
POINTS = ("stage1", "stage2", "stage3")
SEEDS = (0, 1, 2)
OVERRIDES = [
    *("tasks=[semseg,depth,normals]", "backbone.options={stages: 4}", "model.width=16", "data.selection=0"),
    *("data.options.image_size=[48, 64]", "data.options.train_size=800", "data.options.val_size=200"),
    *("data.workers=0", "devices=cpu", "retrain.steps=120"),
]
HEAD = (
    "# every encoder tree of 3 tasks and 3 branching points: python -m analysis.branch_table\n"
    "# rooms, 48 x 64, {steps} steps of {batch} images from scratch, short so that all 66 rows fit into 40 processor minutes; "
    "seconds are processor seconds of training\n"
)


def experiment_of(seed: int, overrides: list[str] | None = None) -> Experiment:
    """What every row is trained with."""
    return Experiment.load("rooms-small", [*OVERRIDES, *(overrides or []), f"seed={seed}"])


def trees(tasks: tuple[str, ...]) -> dict[str, Branches]:
    """Every tree by its key; the one that Delta_m is against comes first."""
    found = [as_branches(tree, tasks, POINTS) for tree in all_trees(len(tasks), len(POINTS))]
    return {one.key: one for one in (found[-1], *found[:-1])}


def plan(tasks: tuple[str, ...]) -> list[tuple[str, int]]:
    """The tree and seed of every row."""
    return [(key, seed) for seed in SEEDS for key in trees(tasks)]


def read(path: Path) -> pd.DataFrame:
    """The table so far."""
    return pd.read_csv(path, comment="#") if path.is_file() else pd.DataFrame({"tree": [], "seed": []})


def row_of(experiment: Experiment, branches: Branches, data: tuple[Cached, Cached]) -> dict[str, float]:
    """Train one tree; its scores, losses, multiply-adds and processor seconds."""
    row = run(experiment, with_branches(ContextConfig.load("baseline"), branches), data, {"full": 1.0})
    costs = {name: row.pop(name) for name in ("multiply_adds", "seconds")}
    return {name.removesuffix(".full"): value for name, value in row.items()} | costs


def append(path: Path, row: dict[str, object], experiment: Experiment) -> None:
    """Add a row, with the head before the first."""
    text = pd.DataFrame([row]).to_csv(index=False, header=not path.is_file(), float_format="%.6g")
    if not path.is_file():
        head = HEAD.format(steps=experiment.retrain.steps, batch=experiment.retrain.batch_size)
        write_text(path, head + text)
        return
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def train(path: Path, minutes: float, rows: int | None = None) -> None:
    """Train what is left, until ``minutes`` have passed or ``rows`` are trained."""
    torch.set_num_threads(1)
    began, experiment = time.monotonic(), experiment_of(0)
    tasks, data = experiment.predicted_tasks(), rendered(experiment)
    known = trees(tuple(tasks))
    apart, entries = next(iter(known)), plan(tuple(tasks))
    for key, seed in islice(left(entries, lambda: read(path)), rows):
        row = row_of(experiment_of(seed), known[key], data)
        scores = {name: row[f"{name}.{task.score}"] for name, task in tasks.items()}
        table = read(path)
        found = table[(table["tree"] == apart) & (table["seed"] == seed)]
        against = (
            scores if found.empty else {name: float(found[f"{name}.{t.score}"].iloc[0]) for name, t in tasks.items()}
        )
        gain = multi_task_gain(scores, against, tasks.values())
        append(path, {"tree": key, "seed": seed, "delta_m": gain, **row}, experiment)
        print(f"{len(read(path))} of {len(entries)}: {key} seed {seed}, {row['seconds']} s", flush=True)
        if time.monotonic() - began > 60 * minutes:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after the row that passes this")
    parser.add_argument("--rows", type=int, help="train at most so many rows [default: all that are left]")
    args = parser.parse_args()
    train(args.out, args.minutes, args.rows)


if __name__ == "__main__":
    main()
