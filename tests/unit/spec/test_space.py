"""Search spaces: precedence of rules, the diagonal, messages, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import LEVELS, Pair
from atrcnas.spec.space import SearchSpace

AB = ("semseg", "depth")


def load(pairs: object, **more: object) -> SearchSpace:
    return SearchSpace.load({"schema": 1, "pairs": pairs, **more})


def test_rules_go_from_general_to_specific() -> None:
    space = load(
        {
            "default": ["none", "global"],
            "diagonal": ["local"],
            "semseg<-depth": ["mti"],
            "semseg<-depth@8": ["tlabel", "slabel"],
            "depth<-depth": ["none"],
        },
        levels=[4, 8],
    )
    pools = space.pools(AB)
    assert pools[Pair("depth", "semseg", 8)] == ("none", "global")
    assert pools[Pair("semseg", "semseg", 8)] == ("local",)
    assert pools[Pair("semseg", "depth", 4)] == ("mti",)
    assert pools[Pair("semseg", "depth", 8)] == ("tlabel", "slabel")
    assert pools[Pair("depth", "depth", 4)] == ("none",)


def test_rule_for_level_4_can_be_written_out() -> None:
    pools = load({"default": ["none"], "semseg<-depth@4": ["mti"]}, levels=[4, 8]).pools(AB)
    assert pools[Pair("semseg", "depth", 4)] == ("mti",)
    assert pools[Pair("semseg", "depth", 8)] == ("none",)


def test_default_leaves_out_on_the_diagonal_what_needs_two_tasks() -> None:
    pools = load({"default": ["none", "slabel", "global"]}).pools(AB)
    assert pools[Pair("semseg", "semseg")] == ("none", "global")
    assert pools[Pair("semseg", "depth")] == ("none", "slabel", "global")
    assert load({"default": ["slabel"]}).pools(AB)[Pair("depth", "depth")] == ("none",)


@pytest.mark.parametrize("key", ["diagonal", "semseg<-semseg"])
def test_asking_for_it_on_the_diagonal_by_name_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"'semseg<-semseg' is offered \['slabel'\].*two different tasks"):
        load({"default": ["none"], key: ["none", "slabel"]}).pools(AB)


def test_asking_for_it_on_the_diagonal_of_one_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="two different tasks"):
        load({"default": ["none"], "semseg<-semseg@8": ["none", "slabel"]}, levels=[4, 8]).pools(AB)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"pairs": {"default": ["lcoal"]}}, r"pairs\.default: unknown kind 'lcoal'\. Did you mean 'local'\?"),
        ({"pairs": {"depth-semseg": ["local"]}}, "expected a pair like 'depth<-edge'"),
        ({"pairs": {"default": []}}, r"pairs\.default: expected .*at least 1"),
        ({"pairs": {"default": ["local", "local"]}}, "each kind once"),
        ({"pairs": {"default": "local"}}, r"pairs\.default: expected .*got 'local'"),
        ({"pairs": {"default": [3]}}, r"pairs\.default\.0: expected text, got 3"),
        ({"pairs": ["local"]}, "pairs: expected 'key: value' lines, got"),
        ({}, "pairs: expected a value, got nothing"),
        ({"pairs": {"default": ["local"]}, "levels": [4, 5]}, r"levels\.1: expected 4, 8, 16 or 32, got 5"),
        ({"pairs": {"default": ["local"]}, "levels": [8, 4]}, "ascending order"),
        ({"pairs": {"default": ["local"]}, "levels": [4, 4]}, "at most once"),
        ({"pairs": {"default": ["local"]}, "levels": []}, "levels: expected"),
        ({"pairs": {"default": ["local"]}, "level": [4]}, "level: unknown key. Did you mean 'levels'"),
        ({"pairs": {"default": ["local"]}, "schema": 2}, "schema: expected 1, got 2"),
    ],
)
def test_problem_is_named_with_where_and_what(value: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchSpace.load({"schema": 1, **value} if "schema" not in value else value)


@pytest.mark.parametrize("value", [None, [], "pairs", 3])
def test_file_that_is_not_a_mapping_is_refused(value: object, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("" if value is None else repr(value))
    with pytest.raises(ConfigError, match=r"space\.yaml: expected 'key: value' lines"):
        SearchSpace.load(path)


def test_foreign_task_and_level_are_refused_when_the_tasks_are_known() -> None:
    with pytest.raises(ConfigError, match="'edge' is not a task here"):
        load({"default": ["none"], "semseg<-edge": ["local"]}).pools(AB)
    with pytest.raises(ConfigError, match="level 8"):
        load({"default": ["none"], "semseg<-depth@8": ["local"]}).pools(AB)


def test_sources_may_be_more_than_the_targets() -> None:
    pools = load({"default": ["none"], "semseg<-edge": ["slabel"]}).pools(AB, (*AB, "edge"))
    assert len(pools) == 6
    assert pools[Pair("semseg", "edge")] == ("slabel",)


def test_space_survives_a_round_trip_through_its_file(tmp_path: Path) -> None:
    space = load({"default": ["none", "mti"], "semseg<-depth@8": ["tlabel"]}, levels=[4, 8])
    space.save(tmp_path / "deep" / "space.yaml")
    assert SearchSpace.load(tmp_path / "deep" / "space.yaml") == space


def test_bundled_spaces_are_what_they_say() -> None:
    atrc, whole, pyramid, wide = (SearchSpace.load(name) for name in ("atrc", "full", "pyramid", "wide"))
    pools = atrc.pools(AB)
    assert pools[Pair("semseg", "depth")] == ("none", "global", "local", "tlabel", "slabel")
    assert pools[Pair("semseg", "semseg")] == ("none", "global", "local", "tlabel")
    assert set(whole.pools(AB)[Pair("semseg", "depth")]) >= set(KINDS.names[:6])
    assert pyramid.levels == LEVELS
    pools = wide.pools(AB)
    assert pools[Pair("semseg", "depth")] == ("none", "linear", "global", "local", "wide", "aspp")
    assert pools[Pair("depth", "depth")] == ("none", "global", "local", "wide", "aspp")


def test_unknown_bundled_name_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"atcr: no such file.*Did you mean 'atrc'\? Bundled: .*pyramid"):
        SearchSpace.load("atcr")


def test_pool_may_be_a_mixture_of_any_kinds_in_any_order() -> None:
    assert load({"default": ["mti", "none"]}).pools(("sal",)) == {Pair("sal", "sal"): ("mti", "none")}


def test_two_kinds_may_be_chosen_and_the_file_says_so(tmp_path: Path) -> None:
    assert load({"default": ["none", "mti"]}).choose == 1
    space = load({"default": ["local", "mti"]}, choose=2)
    space.save(tmp_path / "space.yaml")
    assert SearchSpace.load(tmp_path / "space.yaml").choose == 2


@pytest.mark.parametrize("choose", [0, 3, "2", True])
def test_another_number_of_kinds_is_refused(choose: object) -> None:
    with pytest.raises(ConfigError, match="choose"):
        load({"default": ["local", "mti"]}, choose=choose)


def test_two_kinds_together_are_not_a_candidate() -> None:
    with pytest.raises(ConfigError, match=r"pairs\.default: expected single kinds, got 'local\+mti'.*choose: 2"):
        load({"default": ["none", "local+mti"]})
