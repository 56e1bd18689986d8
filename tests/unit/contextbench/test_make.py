"""Making a table: what is trained is what the engine trains, and each row comes once."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.contextbench.make import Writer, plan, trained_by
from analysis.contextbench.one_run import rendered, run
from atrcnas import ContextConfig, Experiment, retrain
from atrcnas.contextbench.designs import DESIGNS, design
from atrcnas.contextbench.table import BASELINE, columns, factored, parse
from atrcnas.data.caching import Cached
from atrcnas.runs.tables import METRICS, read_table

TINY = [
    *("data.selection=0", "data.options.train_size=12", "data.options.val_size=6", "devices=cpu"),
    *("retrain.steps=4", "retrain.validate_every=1", "retrain.batch_size=4", "seed=1"),
]
EXPERIMENT = Experiment.load("rooms-small", TINY)
POOLS = EXPERIMENT.search_space().pools(EXPERIMENT.tasks)
DESIGN = design("rooms-small")


@pytest.fixture(scope="module")
def data() -> tuple[Cached, Cached]:
    """Both splits, rendered once."""
    return rendered(EXPERIMENT)


def test_a_row_is_what_the_engine_gives_for_the_same_config_and_seed(
    tmp_path: Path, data: tuple[Cached, Cached]
) -> None:
    contexts = ContextConfig.from_kinds(parse("local.slabel/none.global", POOLS))
    row = run(EXPERIMENT, contexts, data)
    results = retrain(EXPERIMENT, contexts, tmp_path / "run")
    table = read_table(tmp_path / "run/retrain/metrics.csv", METRICS)
    engine = table[table["stage"] == "val"].set_index(["task", "name", "step"])["value"]
    for step, length in ((1, "quarter"), (2, "half"), (4, "full")):
        for task, score in (("semseg", "miou"), ("depth", "rmse")):
            assert float(f"{row[f'{task}.{score}.{length}']:.6g}") == engine[task, score, step]
    assert row["multiply_adds"] == results["costs"]["multiply_adds"]
    assert set(row) | {"config", "seed"} == set(columns(EXPERIMENT.predicted_tasks()))


def test_losses_are_of_the_final_predictions_alone_over_all_validation_images(data: tuple[Cached, Cached]) -> None:
    """An untrained network says about 0 m everywhere; its label branch has a loss of about log(40) besides."""
    contexts = ContextConfig.from_kinds(parse("none.none/none.tlabel", POOLS))
    row = run(EXPERIMENT.replace(retrain={"learning_rate": 1e-30}), contexts, data)
    samples = [data[1][index] for index in range(len(data[1]))]
    depths = np.concatenate([sample.targets["depth"][sample.valid["depth"]] for sample in samples])
    assert row["depth.loss.full"] == pytest.approx(depths.mean(), rel=0.1)


def test_the_baseline_has_no_refining_convolution(data: tuple[Cached, Cached]) -> None:
    without, refined = (
        run(EXPERIMENT, contexts, data)["multiply_adds"]
        for contexts in (
            ContextConfig.load(BASELINE),
            ContextConfig.from_kinds(parse("none.none/none.none", POOLS)),
        )
    )
    assert refined - without == 2 * 24 * 24 * (64 // 4) * (96 // 4)


def test_the_plan_has_everything_once_and_the_factored_design_first() -> None:
    entries = plan(POOLS, DESIGN)
    assert len(entries) == len(set(entries)) == 5 * 257
    assert [seed for _, seed in entries[: 5 * 17]] == [seed for seed in range(5) for _ in range(17)]
    assert entries[0] == (BASELINE, 0)
    first_turn = entries[5 * 17 : 5 * 17 + 240]
    assert len({config for config, _ in first_turn}) == 240
    assert Counter(seed for _, seed in first_turn) == dict.fromkeys(range(5), 48)


@pytest.mark.parametrize(
    ("name", "rows"), [("rooms-small-wide", 31 * 5 + 200), ("rooms-deep", 17 * 5), ("camvid-small", 65 * 3)]
)
def test_larger_tables_hold_a_subset(name: str, rows: int) -> None:
    experiment = trained_by(name, Path("photographs"))
    assert experiment.name == name
    pools = experiment.search_space().pools(experiment.tasks)
    entries = plan(pools, DESIGNS[name])
    assert len(set(entries)) == len(entries) == rows
    once = Counter(config for config, _ in entries)
    assert {config for config, count in once.items() if count > 1} == {BASELINE, *factored(pools)}


def test_photographs_are_read_from_the_folder_that_is_given() -> None:
    assert trained_by("camvid-small", Path("photographs")).data.options["root"] == "photographs"


def train(path: Path, entries: list[tuple[str, int]]) -> None:
    """Stands in for the training: only who writes what matters."""
    writer = Writer(path, EXPERIMENT)
    for config, seed in writer.left(entries):
        time.sleep(0.002)
        writer.append({**dict.fromkeys(writer.columns, 1), "config": config, "seed": seed})


def test_two_processes_write_each_row_once_and_what_is_there_is_not_trained_again(tmp_path: Path) -> None:
    path, entries = tmp_path / "t.csv", plan(POOLS, replace(DESIGN, seeds=2))[:30]
    train(path, entries[:10])
    before = path.read_text()
    path.write_text(before + "local.no")  # a process was killed while it wrote
    processes = multiprocessing.get_context("fork")
    workers = [processes.Process(target=train, args=(path, entries)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert path.read_text().startswith(before)
    rows: pd.DataFrame = read_table(path, columns(EXPERIMENT.predicted_tasks()))
    assert sorted(zip(rows["config"], rows["seed"], strict=True)) == sorted(entries)


def test_a_row_that_another_process_trains_is_left_to_it(tmp_path: Path) -> None:
    path, entries = tmp_path / "t.csv", plan(POOLS, DESIGN)[:2]
    ours = Writer(path, EXPERIMENT).left(entries)
    assert next(ours) == entries[0]
    other = multiprocessing.get_context("fork").Process(target=train, args=(path, entries))
    other.start()
    other.join(30)
    assert Writer(path, EXPERIMENT).done() == {entries[1]}
