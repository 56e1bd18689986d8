"""The table of all trees: what is trained, how trees are ranked, and which of them compare with a chosen one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import branch_summary, branch_table, tree_candidates
from atrcnas import ContextConfig
from atrcnas.sampling.trees import cost_of

TASKS = ("semseg", "depth", "normals")


def test_a_row_is_trained_once_and_the_reference_of_its_seed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["data.options.train_size=8", "data.options.val_size=2", "retrain.steps=2", "retrain.batch_size=2"]
    monkeypatch.setattr(branch_table, "OVERRIDES", [*branch_table.OVERRIDES, *tiny])
    out = tmp_path / "table.csv"
    for _ in range(2):
        branch_table.train(out, minutes=0.0)
    table = branch_table.read(out)
    assert table["tree"].tolist() == ["stage1:semseg|depth|normals", "together"]
    assert table["delta_m"][0] == 0.0 and table["delta_m"][1] != 0.0
    assert out.read_text().startswith("# every encoder tree") and "2 steps of 2 images" in out.read_text()
    apart, together = table["multiply_adds"]
    # Two more copies of the three convolutions at strides 4, 8 and 16 of 48 x 64 pixels.
    assert apart - together == 2 * 9 * (12 * 16 * 32 * 16 + 6 * 8 * 48 * 32 + 3 * 4 * 64 * 48)
    assert "2 of 66" in capsys.readouterr().out


def test_every_tree_is_in_the_plan_once() -> None:
    known, plan = list(branch_table.trees(TASKS)), branch_table.plan(TASKS)
    assert len(known) == 22 and known[:2] == ["stage1:semseg|depth|normals", "together"]
    assert plan[22] == (known[0], 1) and len(set(plan)) == 66


def made_up(effects: dict[str, float], noise: float) -> pd.DataFrame:
    source = np.random.default_rng(0)
    rows = [
        {
            "tree": tree,
            "seed": seed,
            "delta_m": effect + 10 * seed + noise * source.normal(),
            "a.loss": -effect,
            "b.loss": 1.0,
        }
        for tree, effect in effects.items()
        for seed in range(3)
    ]
    return pd.DataFrame(rows).assign(multiply_adds=[int(1e9 * (1 + row // 3)) for row in range(len(rows))])


def test_what_trees_differ_by_is_told_from_what_seeds_differ_by() -> None:
    source = np.random.default_rng(1)
    table = made_up({f"tree{n}": 2.0 * source.normal() for n in range(200)}, noise=0.5)
    between, within = branch_summary.noise(table)
    assert between == pytest.approx(2.0, rel=0.15) and within == pytest.approx(0.5, rel=0.1)


def test_ranks_follow_loss_and_cost() -> None:
    trees = branch_summary.by_tree(made_up({"cheap": 0.0, "middle": 3.0, "dear": 4.0}, noise=0.0))
    assert [branch_summary.rank(trees, tree, 0.0) for tree in ("dear", "middle", "cheap")] == [1, 2, 3]
    assert [branch_summary.rank(trees, tree, 1.9) for tree in ("middle", "dear", "cheap")] == [1, 2, 3]
    assert branch_summary.rank(trees, "cheap", 100.0) == 1
    rows = [
        ("search", 1.9, "middle"),
        *(("RSA", n, tree) for n, tree in enumerate(("cheap", "dear"))),
        ("TAG", 0, "cheap"),
    ]
    placed = branch_summary.placed(trees, pd.DataFrame(rows, columns=["method", "setting", "tree"]))
    found = dict(zip(placed["method"], placed["tree"], strict=True))
    assert found == {"search": "middle", "best": "middle", "RSA": "cheap", "TAG": "cheap"}


def test_candidates_are_different_trees_of_equal_cost_and_keep_the_contexts() -> None:
    like = ((0, 0, 0), (0, 0, 1), (0, 1, 2))
    costs = [3.0, 2.0, 2.0]
    found = tree_candidates.candidates(like, costs, 5, 0.2, seed=0)
    randoms = [tree for name, tree in found.items() if name.startswith("random")]
    assert like not in randoms and len(set(randoms)) == len(randoms) > 1
    assert all(abs(cost_of(tree, costs) - cost_of(like, costs)) <= 0.2 * cost_of(like, costs) for tree in randoms)
    config = ContextConfig.load("pad-net")
    branches = branch_table.trees(TASKS)["stage3:semseg|depth+normals"]
    changed = tree_candidates.with_branches(config, branches)
    assert changed.model.branches == {"stage3": [["semseg"], ["depth", "normals"]]}
    assert {**changed.dump()["model"], "branches": None} == {**config.dump()["model"], "branches": None}
    assert changed.pairs == config.pairs
