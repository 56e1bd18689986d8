"""The drawn encoder tree: its limbs are the groups, none cross, and the figure is readable beside every heat map."""

from __future__ import annotations

import random

import pytest
from legibility import faults, texts
from run_files import contexts

from atrcnas.plots.contexts import Cell, draw_cells, draw_heatmap
from atrcnas.plots.encoder_tree import Limb, branches_of, encoder_tree
from atrcnas.spec.branches import Branches
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.pairs import all_pairs
from atrcnas.spec.tasks import TASKS


def random_branches(tasks: tuple[str, ...], points: tuple[str, ...], seed: int) -> Branches:
    source = random.Random(seed)
    copies: dict[str, tuple[int, ...]] = dict.fromkeys(tasks, ())
    groups: dict[str, list[list[str]]] = {}
    for point in points:
        copies = {task: (*before, source.randrange(2)) for task, before in copies.items()}
        groups[point] = [[task for task in tasks if copies[task] == one] for one in set(copies.values())]
    return Branches.of(groups, tasks, points)


def rows_spanned(limb: Limb, tasks: tuple[str, ...]) -> list[int]:
    return sorted(tasks.index(task) for task in limb.tasks)


@pytest.mark.parametrize("seed", range(10))
def test_limbs_are_the_groups_in_neighbouring_rows_and_grow_from_the_limb_that_holds_them(seed: int) -> None:
    branches = random_branches(("a", "b", "c", "d", "e"), ("one", "two", "three"), seed)
    tree = encoder_tree(branches)
    assert tree.columns == ("image", *branches.as_mapping())
    for column, point in enumerate(tree.columns[1:], start=1):
        here = [limb for limb in tree.limbs if limb.column == column]
        assert {limb.tasks for limb in here} == set(branches.groups(point))
        for limb in here:
            rows = rows_spanned(limb, tree.tasks)
            assert rows == list(range(rows[0], rows[-1] + 1)), "a limb of another group lies between"
            assert limb.row == (rows[0] + rows[-1]) / 2
            (parent,) = [one for one in tree.limbs if one.column == column - 1 and set(limb.tasks) <= set(one.tasks)]
            assert limb.parent == parent.row
    assert {joint[-1][1] for joint, _ in tree.joints()} >= set(range(5)), "every leaf is reached"


@pytest.mark.parametrize(("num_tasks", "num_points", "levels"), [(1, 1, 1), (2, 1, 1), (4, 4, 2), (7, 6, 1)])
def test_the_tree_is_readable_beside_the_heat_map(num_tasks: int, num_points: int, levels: int) -> None:
    tasks = (*TASKS.names[: num_tasks - 1], "a_task_with_a_remarkably_long_name")
    points = tuple(f"stage{number}.12" for number in range(1, num_points + 1))
    branches = random_branches(tasks, points, seed=1)
    pairs = all_pairs(tasks, (4, 8, 16, 32)[:levels])
    figure = draw_cells({pair: Cell(("global",)) for pair in pairs}, "contexts", "a note", branches=branches)
    assert faults(figure) == []
    written = [text.get_text().replace("\n", "") for text in texts(figure)]
    assert {"image", *branches.as_mapping(), *tasks} <= set(written)


def test_without_branches_the_figure_is_the_heat_map_alone() -> None:
    pairs = all_pairs(("a", "b"), (4,))
    figures = [
        draw_cells({pair: Cell(("global",)) for pair in pairs}, "contexts", branches=one)
        for one in (None, Branches.of({"stage1": [["a"], ["b"]]}, ("a", "b")))
    ]
    alone, beside = ([text.get_text() for text in texts(figure)] for figure in figures)
    assert "image" not in alone and set(beside) - set(alone) == {"image", "stage1", "encoder"}
    assert all(len(figure.subfigs) == count for figure, count in zip(figures, (0, 2), strict=True))


def test_a_context_config_with_branches_is_drawn_with_its_encoder() -> None:
    tasks = TASKS.names[:3]
    groups = {"stage2.2": [[tasks[0]], list(tasks[1:])], "stage3": [[task] for task in tasks]}
    value = contexts(tasks, (4,))
    branched = ContextConfig.model_validate({**value, "model": {"branches": groups}})
    written = {text.get_text() for text in texts(draw_heatmap(branched))}
    assert {"image", "stage2.2", "stage3"} <= written
    assert "image" not in {text.get_text() for text in texts(draw_heatmap(ContextConfig.model_validate(value)))}


def test_branches_of_a_preset_for_any_tasks_name_their_own() -> None:
    preset = ContextConfig.model_validate(
        {"schema": 1, "pairs": {"default": "none"}, "model": {"branches": {"stem": [["a"], ["b"]]}}}
    )
    assert branches_of(preset) == Branches.of({"stem": [["a"], ["b"]]}, ("a", "b"))
