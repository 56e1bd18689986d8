"""Trees over tasks: canonical form, inheritance along the encoder, refusals."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.branches import Branches, refines
from atrcnas.spec.context_config import ContextConfig

TASKS = ("semseg", "depth", "edge")
POINTS = ("stage1", "stage2", "stage3")
APART = (("semseg",), ("depth",), ("edge",))


def test_a_point_not_named_has_the_groups_of_the_one_before() -> None:
    tree = Branches.of({"stage2": [["edge"], ["depth", "semseg"]]}, TASKS, POINTS)
    parted = (("semseg", "depth"), ("edge",))
    assert [tree.groups(point) for point in POINTS] == [(TASKS,), parted, parted]


def test_equal_trees_are_equal_however_they_are_written() -> None:
    one = Branches.of({"stage2": [["edge"], ["depth", "semseg"]]}, TASKS, POINTS)
    other = Branches.of(
        {"stage3": [["semseg", "depth"], ["edge"]], "stage2": [["semseg", "depth"], ["edge"]], "stage1": [[*TASKS]]},
        TASKS,
        POINTS,
    )
    assert one == other
    assert hash(one) == hash(other)
    assert other.as_mapping() == {"stage2": [["semseg", "depth"], ["edge"]]}


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"stage1": [["semseg"], ["depth"], ["edge"]]},
        {"stage2": [["semseg", "edge"], ["depth"]], "stage3": [["semseg"], ["depth"], ["edge"]]},
    ],
)
def test_sections_and_keys_round_trip(groups: dict[str, Any]) -> None:
    tree = Branches.of(groups, TASKS, POINTS)
    assert tree.as_mapping() == groups
    assert Branches.of(tree.as_mapping(), TASKS, POINTS) == tree
    assert Branches.from_key(tree.key, TASKS, POINTS) == tree


def test_the_two_ends() -> None:
    assert Branches.all_together(TASKS, POINTS).grouping == ((TASKS,),) * 3
    assert Branches.all_together(TASKS, POINTS).key == "together"
    assert Branches.all_apart(TASKS, POINTS).grouping == (APART,) * 3
    assert Branches.all_apart(TASKS, POINTS).key == "stage1:semseg|depth|edge"
    assert Branches.all_apart(TASKS[:1], POINTS).together


def test_refining() -> None:
    pairs = (("semseg", "depth"), ("edge",))
    assert refines(APART, pairs)
    assert refines(pairs, pairs)
    assert not refines(pairs, APART)
    assert not refines(pairs, (("semseg",), ("depth", "edge")))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"stage9": [[*TASKS]]}, r"branches\.stage9: no branching point of this backbone. Did you mean 'stage"),
        ({"stage2": [["semseg"], ["depth"]]}, r"branches\.stage2: expected each of semseg, depth, edge in exactly one"),
        ({"stage2": [["semseg", "edge"], ["depth", "edge"]]}, "exactly one group, got semseg\\+edge|depth\\+edge"),
        ({"stage2": [[*TASKS], []]}, "exactly one group"),
        ({"stage2": [[*TASKS, "normals"]]}, "exactly one group"),
        (
            {"stage1": [["semseg"], ["depth", "edge"]], "stage2": [["semseg", "depth"], ["edge"]]},
            r"branches\.stage2: expected groups that divide those of the point before, semseg\|depth\+edge",
        ),
        ({"stage1": [["semseg"], ["depth", "edge"]], "stage3": [[*TASKS]]}, "branches never join again"),
    ],
)
def test_what_is_no_tree_is_refused(groups: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Branches.of(groups, TASKS, POINTS)


@pytest.mark.parametrize(
    "key", ["", "stage2", "stage2:", ":semseg", "stage2:semseg+depth|edge stage2:semseg|depth|edge"]
)
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="branches: expected 'POINT"):
        Branches.from_key(key, TASKS, POINTS)


def test_points_are_in_the_order_of_the_encoder_whatever_the_order_of_the_lines() -> None:
    apart = [[task] for task in TASKS]
    halves = [["semseg", "depth"], ["edge"]]
    groups = {"stage10": apart, "stage2.11": halves, "stage2.2": halves, "stem": [[*TASKS]], "stage2": [[*TASKS]]}
    tree = Branches.of(groups, TASKS)
    assert tree.points == ("stem", "stage2", "stage2.2", "stage2.11", "stage10")
    assert tree.as_mapping() == {"stage2.2": halves, "stage10": apart}


@pytest.mark.parametrize(
    "point", ["", "layer3", "stage", "stage0", "stage3.0", "stage3.", "stage" + "9" * 5000, "Stem"]
)
def test_a_name_that_no_backbone_has_is_refused(point: str) -> None:
    with pytest.raises(ConfigError, match="expected a branching point such as stem, stage3 or"):
        Branches.of({point: [[*TASKS]]}, TASKS)


@st.composite
def trees(draw: st.DrawFn) -> list[list[int]]:
    """Of each of some points, the branch of each task; what has parted stays apart."""
    branch = [0] * len(TASKS)
    found = []
    for _ in range(draw(st.integers(1, 4))):
        drawn = [draw(st.integers(0, 2)) for _ in TASKS]
        branch = [3 * before + own for before, own in zip(branch, drawn, strict=True)]
        found.append(branch)
    return found


@settings(max_examples=60, deadline=None)
@given(drawn=trees(), order=st.randoms(use_true_random=False))
def test_any_tree_comes_back_from_yaml_json_and_its_key(drawn: list[list[int]], order: Random) -> None:
    groups = {}
    for number, branch in enumerate(drawn, start=1):
        members = [[task for task, own in zip(TASKS, branch, strict=True) if own == one] for one in set(branch)]
        order.shuffle(members)
        groups[f"stage{number}"] = members
    points = tuple(groups)
    tree = Branches.of(groups, TASKS, points)
    for coded in (yaml.safe_load(yaml.safe_dump(tree.as_mapping())), json.loads(json.dumps(tree.as_mapping()))):
        assert Branches.of(coded, TASKS, points) == tree
    assert Branches.from_key(tree.key, TASKS, points) == tree
    config = {"pairs": {"default": "none"}, "model": {"branches": groups}}
    assert ContextConfig.model_validate(config).dump()["model"]["branches"] == groups
    for number, groups_here in enumerate(tree.grouping):
        same = {(a, b) for group in groups_here for a in group for b in group}
        branch = dict(zip(TASKS, drawn[number], strict=True))
        assert same == {(a, b) for a in TASKS for b in TASKS if branch[a] == branch[b]}
