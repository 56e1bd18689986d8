"""Context configs: files, the reference's integers, rules, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import read_yaml
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.pairs import Pair, all_pairs

NYUD = ("semseg", "depth", "normals", "edge")
PASCAL = ("semseg", "human_parts", "sal", "normals", "edge")
# The published genotypes: rows targets, columns sources.
PUBLISHED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "NYUD-v2, HRNet18-S": (NYUD, ("3344", "4344", "4334", "3313")),
    "NYUD-v2, HRNet48": (NYUD, ("3004", "4114", "4114", "3333")),
    "PASCAL, HRNet18-S": (PASCAL, ("33404", "33434", "33343", "33334", "33313")),
}
CODES = ("none", "global", "local", "tlabel", "slabel")
TWO = ("semseg", "depth")


def table(tasks: tuple[str, ...], rows: tuple[str, ...]) -> dict[str, dict[str, int]]:
    return {t: {s: int(code) for s, code in zip(tasks, row, strict=True)} for t, row in zip(tasks, rows, strict=True)}


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], dict[str, dict[str, int]]]:
    tasks, rows = PUBLISHED[request.param]
    return tasks, table(tasks, rows)


def load_table(tmp_path: Path, data: dict) -> ContextConfig:
    return ContextConfig.load(write(tmp_path / "p.json", {"data": data, "step": 40000}))


def off_the_slabel_diagonal(data: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {t: {s: 3 if t == s and code == 4 else code for s, code in row.items()} for t, row in data.items()}


def test_published_integers_are_read_as_kinds(published: tuple, tmp_path: Path) -> None:
    tasks, data = published
    config = load_table(tmp_path, data)
    assert config.tasks == tasks
    assert config.levels == (4,)
    assert config.provenance.step == 40000
    listed = config.kinds(tasks)
    assert listed == {Pair(t, s): CODES[data[t][s]] for t in tasks for s in tasks}


def test_reference_json_round_trip(published: tuple, tmp_path: Path) -> None:
    _, data = published
    config = load_table(tmp_path, data)
    config.save_reference(tmp_path / "back.json")
    assert json.loads((tmp_path / "back.json").read_text()) == {"data": data, "step": 40000}


def test_one_level_may_be_listed_by_its_number(tmp_path: Path) -> None:
    by_level = write(tmp_path / "c.yaml", {"schema": 1, "levels": [8], "pairs": {8: {"depth": {"depth": "local"}}}})
    by_level.write_text(by_level.read_text().replace('"8"', "8"))
    assert ContextConfig.load(by_level).kinds(["depth"]) == {Pair("depth", "depth", 8): "local"}


def test_what_does_not_fit_the_tasks_names_the_file(tmp_path: Path) -> None:
    config = ContextConfig.load(write(tmp_path / "c.yaml", {"schema": 1, "pairs": {"depth": {"depth": "local"}}}))
    with pytest.raises(ConfigError, match=r"c\.yaml: the context config is for tasks \['depth'\]"):
        config.kinds(["semseg"])


def test_yaml_round_trip(published: tuple, tmp_path: Path) -> None:
    _, data = published
    config = load_table(tmp_path, data)
    config.save(tmp_path / "c.yaml")
    assert ContextConfig.load(tmp_path / "c.yaml") == config
    assert set(read_yaml(tmp_path / "c.yaml")["pairs"]["semseg"].values()) <= set(CODES), (
        "kinds are names, not integers"
    )


def test_an_unknown_model_setting_is_refused_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("pairs: {default: none}\nmodel: {refine: {null: 1}, neck: pyramid, heads: aspp}\n")
    with pytest.raises(ConfigError, match=r"(?s)c\.yaml: model\.refine: expected true or false.*model\.heads"):
        ContextConfig.load(tmp_path / "c.yaml")


def test_only_the_model_settings_that_were_given_are_written_even_if_none(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("pairs: {default: none}\nmodel: {width: null, fuse: sum}\n")
    config = ContextConfig.load(tmp_path / "c.yaml")
    config.save(tmp_path / "again.yaml")
    assert read_yaml(tmp_path / "again.yaml")["model"] == {"width": None, "fuse": "sum"}
    (tmp_path / "c.yaml").write_text("pairs: {default: none}\nmodel: {width: null, fuse: sum, refine: true}\n")
    assert ContextConfig.load(tmp_path / "c.yaml") != config, "a default that is given replaces the experiment's"


def test_yaml_round_trip_of_several_levels_model_and_provenance(tmp_path: Path) -> None:
    kinds = {
        p: ("mti" if p.level > 8 and not p.on_diagonal else "none") for p in all_pairs(TWO, (4, 8, 32), (*TWO, "edge"))
    }
    provenance = Provenance(experiment="x", seed=3, step=7, commit="abc", probabilities={"semseg<-depth": {"mti": 0.5}})
    config = ContextConfig.from_kinds(kinds, {"fuse": "sum"}, provenance)
    config.save(tmp_path / "c.yaml")
    back = ContextConfig.load(tmp_path / "c.yaml")
    assert back == config
    assert back.kinds(TWO, (*TWO, "edge")) == kinds
    assert back.levels == (4, 8, 32)


def test_pair_that_is_not_listed_has_no_context(tmp_path: Path) -> None:
    config = load_table(tmp_path, {"semseg": {"depth": 1}})
    assert config.kinds(TWO) == {
        Pair("semseg", "semseg"): "none",
        Pair("semseg", "depth"): "global",
        Pair("depth", "semseg"): "none",
        Pair("depth", "depth"): "none",
    }


@pytest.mark.parametrize("tasks", [("semseg",), ("semseg", "depth", "edge"), ("semseg", "edge")])
def test_config_for_other_tasks_is_refused(tasks: tuple[str, ...], tmp_path: Path) -> None:
    config = load_table(tmp_path, {"semseg": {"semseg": 1, "depth": 1}, "depth": {"semseg": 2, "depth": 2}})
    assert config.kinds(("depth", "semseg")).keys() == set(all_pairs(TWO, (4,))), "their order does not matter"
    with pytest.raises(ConfigError, match=r"is for tasks \['depth', 'semseg'\], the experiment has"):
        config.kinds(tasks)


def test_slabel_on_the_diagonal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'semseg<-semseg' is 'slabel', which needs two different tasks"):
        load_table(tmp_path, {"semseg": {"semseg": 4}}).kinds(("semseg",))


RULE = {"schema": 1, "pairs": {"default": "local", "diagonal": "none", "depth<-semseg": "mti"}}


def test_rule_preset_fits_any_tasks(tmp_path: Path) -> None:
    config = ContextConfig.load(write(tmp_path / "p.yaml", json.dumps(RULE)))
    assert config.is_rule
    assert config.kinds(TWO) == {
        Pair("semseg", "semseg"): "none",
        Pair("semseg", "depth"): "local",
        Pair("depth", "semseg"): "mti",
        Pair("depth", "depth"): "none",
    }
    assert len(config.kinds(NYUD)) == 16
    with pytest.raises(ConfigError, match="'depth' is not a task here"):
        config.kinds(("semseg", "sal"))


def test_rule_preset_goes_over_its_levels_and_sources(tmp_path: Path) -> None:
    rule = {"schema": 1, "levels": [4, 8], "pairs": {"default": "mti", "diagonal": "none"}}
    config = ContextConfig.load(write(tmp_path / "p.yaml", json.dumps(rule)))
    assert config.kinds(("semseg",), ("semseg", "sal")) == {
        Pair("semseg", s, level): "none" if s == "semseg" else "mti" for level in (4, 8) for s in ("semseg", "sal")
    }


def test_rule_preset_survives_a_round_trip(tmp_path: Path) -> None:
    config = ContextConfig.load(write(tmp_path / "p.yaml", json.dumps(RULE)))
    config.save(tmp_path / "q.yaml")
    assert ContextConfig.load(tmp_path / "q.yaml") == config


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"pairs": {"a": {"b": "lcoal"}}}, r"pairs\.a<-b: unknown kind 'lcoal'\. Did you mean 'local'\?"),
        ({"pairs": {"default": "lcoal"}}, r"pairs\.default: unknown kind 'lcoal'"),
        ({"pairs": {"a": {"b": 3}}}, r"pairs: expected \{target: \{source: kind\}\}"),
        ({"pairs": {"default": "local"}, "levels": [4, 4]}, "levels: expected each of .* at most once"),
        ({"pairs": {"a": "local", "b": {"a": "local"}}}, "pairs"),
        ({"pairs": {"a": {"b": "local"}}, "levels": [4, 8]}, r"one table for each of levels \[4, 8\]"),
        ({"pairs": {"a": {"b": "local"}}, "task": ["a"]}, "task: unknown key. Did you mean 'tasks'"),
        (
            {"pairs": {"a": {"b": "local"}}, "provenance": {"seeds": 1}},
            r"provenance\.seeds: unknown key\. Did you mean 'seed'",
        ),
        ({"tasks": ["a"]}, "pairs: expected a value, got nothing"),
    ],
)
def test_problem_is_named(value: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        ContextConfig.load(write(tmp_path / "c.yaml", json.dumps({"schema": 1, **value})))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "not json",
        "[]",
        "3",
        "null",
        {"step": 1},
        {"data": 3},
        {"data": {"a": 3}},
        {"data": {"a": {"b": 9}}},
        {"data": {"a": {"b": True}}},
        {"data": {"a": {"b": 1.0}}},
        {"data": {"a": {"b": None}}},
        {"data": {"a": {"b": [1]}}},
        {"data": {}},
        {"data": {"a": {"b": 1}}, "step": "many"},
        {"data": {"a": {"b": 1}}, "step": None},
        "[" * 100_000,
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_reference_json_of_another_form_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"p\.json: "):
        ContextConfig.load(write(tmp_path / "p.json", value))


def test_what_the_reference_cannot_say_is_refused_on_writing(tmp_path: Path) -> None:
    for kinds, message in (
        ({Pair("a", "b"): "mti"}, "'a<-b' is 'mti', which the reference does not have"),
        ({Pair("a", "b", 4): "local", Pair("a", "b", 8): "local"}, "level 4 only"),
    ):
        with pytest.raises(ConfigError, match=message):
            ContextConfig.from_kinds(kinds).save_reference(tmp_path / "p.json")
    rule = ContextConfig.load(write(tmp_path / "p.yaml", json.dumps(RULE)))
    with pytest.raises(ConfigError, match="listed pairs"):
        rule.save_reference(tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_config_is_immutable(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_table(tmp_path, {"semseg": {"depth": 1}}).tasks = ()


def test_a_misspelt_task_in_the_pairs_is_named() -> None:
    pairs = {"semseg": {"semsge": "tlabel", "depth": "mti"}, "depht": {"depth": "mti"}}
    config = ContextConfig.model_validate({"schema": 1, "tasks": ["semseg", "depth"], "pairs": pairs})
    with pytest.raises(ConfigError, match=r"semseg<-semsge, depht<-depth: no such pair"):
        config.kinds(["semseg", "depth"])


def test_a_preset_for_one_task_refuses_more_and_says_what_to_do() -> None:
    preset = ContextConfig.load("single-task")
    assert preset.kinds(("semseg",)) == {Pair("semseg", "semseg"): "none"}
    for targets, sources in ((("semseg", "depth"), None), (("semseg",), ("semseg", "depth"))):
        with pytest.raises(ConfigError, match=r"for 1 task, the experiment has 2: semseg, depth. .*\['semseg'\].*base"):
            preset.kinds(targets, sources)


def test_a_preset_for_one_task_is_written_with_the_task_it_got(tmp_path: Path) -> None:
    made = ContextConfig.from_kinds(ContextConfig.load("single-task").kinds(("edge",)))
    made.save(tmp_path / "contexts.yaml")
    with pytest.raises(ConfigError, match=r"is for tasks \['edge'\]"):
        ContextConfig.load(tmp_path / "contexts.yaml").kinds(("depth",))


def test_two_kinds_of_a_pair_are_written_together_and_read_back(tmp_path: Path) -> None:
    kinds = dict.fromkeys(all_pairs(TWO, (4,)), "local") | {Pair("semseg", "depth"): "slabel+local"}
    config = ContextConfig.from_kinds(kinds)
    config.save(tmp_path / "contexts.yaml")
    assert read_yaml(tmp_path / "contexts.yaml")["pairs"]["semseg"]["depth"] == "slabel+local"
    assert ContextConfig.load(tmp_path / "contexts.yaml").kinds(TWO) == kinds
    with pytest.raises(ConfigError, match=r"'semseg<-depth' is 'slabel\+local', which the reference does not have"):
        config.save_reference(tmp_path / "contexts.json")


@pytest.mark.parametrize("kind", ["local+local", "local+none", "local+", "local+globl", "local+global+mti"])
def test_what_is_not_two_kinds_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"pairs\.semseg<-depth: unknown kind"):
        ContextConfig.from_kinds({Pair("semseg", "depth"): kind})


def test_two_kinds_of_which_one_needs_two_tasks_are_refused_on_the_diagonal() -> None:
    config = ContextConfig.from_kinds({Pair("semseg", "semseg"): "local+slabel"})
    with pytest.raises(ConfigError, match=r"'semseg<-semseg' is 'local\+slabel', which needs two different tasks"):
        config.kinds(("semseg",))
