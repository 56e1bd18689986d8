"""Pairs and the rules that give them something."""

from __future__ import annotations

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.pairs import Pair, all_pairs, apply_rules, check_rule_keys


@pytest.mark.parametrize("pair", [Pair("a", "b"), Pair("human_parts", "sal", 8), Pair("a", "a", 32)])
def test_pair_reads_what_it_writes(pair: Pair) -> None:
    assert Pair.parse(str(pair)) == pair


def test_level_4_is_not_written() -> None:
    assert str(Pair("depth", "edge")) == "depth<-edge"
    assert str(Pair("depth", "edge", 16)) == "depth<-edge@16"
    assert Pair.parse("depth<-edge@4") == Pair("depth", "edge", 4)


@pytest.mark.parametrize(
    "text", ["", "a", "a->b", "a<-", "<-b", "a<-b@", "a<-b@x", "a <- b", "a<-b@4@8", "1<-b", "a<-b\n@4"]
)
def test_other_forms_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="depth<-edge"):
        Pair.parse(text)


def test_all_pairs_go_level_by_level_then_targets_then_sources() -> None:
    assert [str(p) for p in all_pairs(("a", "b"), (4, 8))] == [
        *("a<-a", "a<-b", "b<-a", "b<-b"),
        *("a<-a@8", "a<-b@8", "b<-a@8", "b<-b@8"),
    ]
    assert [str(p) for p in all_pairs(("a",), (4,), ("a", "c"))] == ["a<-a", "a<-c"]


RULES = {"default": 0, "diagonal": 1, "a<-b": 2, "a<-b@8": 3, "b<-b": 4, "b<-b@8": 5}


def test_the_most_specific_rule_wins_whatever_the_order() -> None:
    expected = {
        **{Pair("a", "a", level): 1 for level in (4, 8)},
        **{Pair("b", "a", level): 0 for level in (4, 8)},
        Pair("a", "b", 4): 2,
        Pair("a", "b", 8): 3,
        Pair("b", "b", 4): 4,
        Pair("b", "b", 8): 5,
    }
    assert apply_rules(RULES, ("a", "b"), (4, 8)) == expected
    assert apply_rules(dict(reversed(RULES.items())), ("a", "b"), (4, 8)) == expected


def test_pair_without_a_rule_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"'b<-a'.*Add 'b<-a: \.\.\.' or 'default"):
        apply_rules({"diagonal": 1, "a<-b": 2}, ("a", "b"), (4,))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("depth<-egde", "'egde' is not a task here. Did you mean 'edge'"),
        ("sal<-depth", "'sal' is not a task here"),
        ("normals<-depth", "'normals' is an auxiliary task, to which no contexts go"),
        ("depth<-edge@16", r"level 16 is not among levels \[4, 8\]"),
        ("diagonals", "expected a pair like"),
    ],
)
def test_keys_that_fit_nothing_are_refused(key: str, message: str) -> None:
    check_rule_keys(["default", "diagonal", "depth<-edge", "edge<-depth@8"], ("depth", "edge"), None, (4, 8))
    with pytest.raises(ConfigError, match=message):
        check_rule_keys([key], ("depth", "edge"), ("normals",), (4, 8))
