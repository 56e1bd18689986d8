"""Trees over tasks: canonical form, inheritance along the encoder, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.branches import Branches, refines

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
