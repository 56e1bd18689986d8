"""Experiments: every key checked, every problem reported at once, overrides through the same check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import dump_yaml
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS


def value(**more: Any) -> dict[str, Any]:
    return {"schema": 1, "tasks": ["semseg", "depth"], **more}


def problems(*overrides: str, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Experiment.load(value(**more), overrides)
    return str(caught.value).splitlines()


def test_smallest_experiment_with_soft_mixtures_is_the_published_recipe() -> None:
    experiment = Experiment.load(value(search={"estimator": "soft"}))
    search, retrain = experiment.search, experiment.retrain
    assert (search.steps, search.batch_size, search.learning_rate, search.momentum) == (40_000, 8, 0.01, 0.9)
    assert (search.weight_decay, search.poly_power, search.clip) == (5e-4, 0.9, 10.0)
    assert (search.tau, search.entropy_weight, search.commit_gap) == ((1.0, 0.05), (-0.02, 0.06), 0.3)
    assert (search.logits_rate, search.logits_warm_up, search.held_out) == (5e-4, 0.0, 0.0)
    assert (retrain.steps, retrain.clip, retrain.inherit) == (40_000, None, False)
    assert experiment.space == "atrc"
    assert experiment.model.dropout == 0.05


# Overrides.


def test_override_lays_values_over_any_depth_with_their_yaml_type() -> None:
    experiment = Experiment.load(
        value(search={"steps": 10}),
        [
            "search.steps=7",
            "data.augment.crop_size=[64, 96]",
            "task_options.depth.weight=2.5",
            "precision='64'",
            "seed=3",
        ],
    )
    assert experiment.search.steps == 7
    assert experiment.data.augment.crop_size == (64, 96)
    assert experiment.task_options["depth"] == {"weight": 2.5}
    assert (experiment.precision, experiment.seed) == ("64", 3)


def test_override_can_switch_off_and_replace_whole_sections() -> None:
    experiment = Experiment.load(value(), ["data.augment=null", "tasks=[edge]", "model={width: 8}"])
    assert experiment.data.augment is None
    assert experiment.tasks == ("edge",)
    assert experiment.model.width == 8


def test_later_override_wins_and_the_given_mapping_is_untouched() -> None:
    given = value(search={"steps": 10})
    assert Experiment.load(given, ["search.steps=7", "search.steps=8"]).search.steps == 8
    assert given == value(search={"steps": 10})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.steps", "expected key.path=value"),
        ("=3", "expected key.path=value"),
        ("search.step=3", r"search\.step: unknown key\. Did you mean 'steps'"),
        ("serach.steps=3", r"serach: unknown key\. Did you mean 'search'"),
        ("search.steps=many", r"search\.steps: expected .*integer.*got 'many'"),
        ("search.steps.x=3", r"search\.steps\.x: 'steps' holds 5, it has no keys below it"),
        ("search.steps=[1", r"search\.steps on the command line: .*"),
        ("search..steps=3", r"search\.\S*: unknown key"),
        (".=3", "unknown key"),
        ("seed=!!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_bad_override_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Experiment.load(value(search={"steps": 5}), [override])


# Typos and types.


@pytest.mark.parametrize(
    ("given", "place", "near"),
    [
        ({"serach": {}}, "serach", "search"),
        ({"search": {"learning_rte": 1}}, "search.learning_rte", "learning_rate"),
        ({"retrain": {"inherits": True}}, "retrain.inherits", "inherit"),
        ({"model": {"neckk": "concat"}}, "model.neckk", "neck"),
        ({"data": {"augment": {"flipp": 0.5}}}, "data.augment.flipp", "flip"),
        ({"backbone": {"weight": "none"}}, "backbone.weight", "weights"),
        ({"task_options": {"depth": {"weigth": 1}}}, "task_options.depth.weigth", "weight"),
    ],
)
def test_typo_at_any_depth_is_reported_with_the_nearest_key(given: dict, place: str, near: str) -> None:
    (line,) = problems(**given)
    assert line.startswith(f"experiment: {place}: unknown key. Did you mean '{near}'? Keys here: "), line


def test_all_problems_are_reported_at_once_each_on_its_line() -> None:
    lines = problems(
        seed=-1,
        search={"steps": 0, "typo": 1, "tau": [1.0]},
        retrain={"momentum": "much"},
        precision="16",
        backbone=None,
    )
    places = [line.split(": ")[1] for line in lines]
    expected = ["seed", "search.steps", "search.typo", "search.tau", "retrain.momentum", "precision", "backbone"]
    assert [place for place in expected if not any(p == place or p.startswith(place + ".") for p in places)] == []
    assert all(line.startswith("experiment: ") for line in lines)
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": []}, "tasks: expected"),
        ({"tasks": "semseg"}, "tasks: expected"),
        ({"tasks": ["semseg", "dpeth"]}, "tasks: unknown task 'dpeth'. Did you mean 'depth'?"),
        ({"tasks": ["depth", "depth"]}, "tasks: expected each task once"),
        ({"search": {"steps": 1.5}}, "search.steps: expected"),
        ({"search": {"learning_rate": float("nan")}}, "search.learning_rate: expected"),
        ({"search": {"learning_rate": float("inf")}}, "search.learning_rate: expected"),
        ({"search": {"tau": [1.0, 0.0]}}, "search.tau.1: expected"),
        ({"search": {"commit_gap": 0}}, "search.commit_gap: expected"),
        ({"search": {"estimator": "gdas"}}, "estimator: unknown estimator 'gdas'. Known: paired, soft, sampled"),
        ({"search": []}, "search: expected"),
        ({"data": {"workers": -1}}, "data.workers: expected"),
        ({"data": {"name": "romos"}}, "data.name: unknown data set 'romos'. Did you mean 'rooms'?"),
        ({"name": "a/b"}, "name: expected"),
        ({"devices": 0}, "devices"),
        ({"schema": 2}, "schema: expected 1, got 2"),
        ({"task_options": {"edge": {"weight": 1}}}, "task_options.edge: not a task of this experiment"),
        ({"auxiliary_tasks": ["depth"]}, "auxiliary_tasks: ['depth'] are already among tasks"),
        ({"plugins": ["atrcnas_no_such_plugin"]}, "plugins: cannot import 'atrcnas_no_such_plugin'"),
        ({"space": "atcr"}, "space: atcr: no such file"),
        ({"space": {"schema": 1, "pairs": {"default": ["lcoal"]}}}, "unknown kind 'lcoal'"),
        ({"space": {"schema": 1, "pairs": {"default": ["none"], "semseg<-sal": ["none"]}}}, "'sal' is not a task here"),
        ({"space": "pyramid"}, "Set model.neck: pyramid and model.head: pyramid"),
        ({"data": {"options": {"imgae_size": 3}}}, "data.options.imgae_size: unknown key. Did you mean 'image_size'"),
    ],
)
def test_problem_is_named_with_its_place(given: dict, message: str) -> None:
    assert any(message in line for line in problems(**given)), problems(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"search": {"entropy_weight": [float("nan"), 0.06]}},
        {"search": {"tau": [float("inf"), 0.05]}},
        {"task_options": {"depth": {"weight": float("inf")}}},
    ],
    ids=str,
)
def test_number_that_is_not_finite_is_refused(given: dict) -> None:
    assert problems(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"search": {"steps": "7"}},
        {"search": {"steps": True}},
        {"search": {"learning_rate": True}},
        {"search": {"noise": "y"}},
    ],
    ids=str,
)
def test_text_and_truth_values_are_not_numbers(given: dict) -> None:
    assert problems(**given)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"neck": "pyramid"}, "Set both to 'pyramid', or neither"),
        ({"head": "pyramid"}, "Set both to 'pyramid', or neither"),
        ({"propagate": True}, "model.propagate: expected neck: pyramid"),
        (
            {"neck": "pyramid", "head": "pyramid", "task_features": "none", "propagate": True},
            "Set task_features: basic2",
        ),
        ({"neck": "pyramid", "head": "pyramid", "task_features": "none", "deep_supervision": True}, "no task features"),
        ({"task_features": "none"}, "'none' needs neck: pyramid"),
        ({"neck": "pyramid", "head": "pyramid", "width": 8}, "Remove model.width"),
        ({"hidden": 8, "fuse": "sum"}, "Remove model.hidden"),
        ({"dropout": 1.0}, "model.dropout: expected"),
        ({"width": 3}, "model.width: expected"),
    ],
)
def test_parts_of_the_model_that_do_not_fit_are_refused(model: dict, message: str) -> None:
    assert any(message in line for line in problems(model=model))


def test_missing_tasks_are_asked_for() -> None:
    with pytest.raises(ConfigError, match="experiment: tasks: expected a value, got nothing"):
        Experiment.load({"schema": 1})


# Files.


def test_file_is_named_in_messages_and_dump_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("schema: 1\ntasks: [semseg]\nserach: 3\n")
    with pytest.raises(ConfigError, match=rf"{path}: serach: unknown key"):
        Experiment.load(path)
    experiment = Experiment.load(value(auxiliary_tasks=["edge"], search={"tau": [2.0, 0.1]}, data={"augment": None}))
    path.write_text(dump_yaml(experiment.dump()))
    assert Experiment.load(path).dump() == experiment.dump()
    assert json.loads(json.dumps(experiment.dump())) == experiment.dump()


@pytest.mark.parametrize("text", ["", "- 1\n", "3\n", "null\n"])
def test_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    for overrides in ((), ("seed=1",)):
        with pytest.raises(ConfigError, match=r"mine\.yaml: expected 'key: value' lines"):
            Experiment.load(path, overrides)


def test_key_that_is_not_a_word_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("schema: 1\ntasks: [semseg]\n3: 4\n")
    with pytest.raises(ConfigError, match="3"):
        Experiment.load(path)


def test_unknown_name_lists_the_bundled_ones() -> None:
    with pytest.raises(ConfigError, match="no such file, and no bundled experiment"):
        Experiment.load("no_such_experiment")


def test_replace_merges_a_section_and_checks_again() -> None:
    experiment = Experiment.load(value(search={"steps": 10, "batch_size": 2}))
    other = experiment.replace(search={"steps": 20}, seed=5)
    assert (other.search.steps, other.search.batch_size, other.seed) == (20, 2, 5)
    assert experiment.search.steps == 10
    with pytest.raises(ConfigError, match=r"search\.steps: expected"):
        experiment.replace(search={"steps": 0})


def test_replace_lets_what_follows_the_estimator_or_the_strategy_follow() -> None:
    plain = Experiment.load(value())
    soft = plain.replace(search={"estimator": "soft"})
    assert plain == Experiment.load(value(search={"estimator": "paired"}))
    assert soft == Experiment.load(value(search={"estimator": "soft"})), "as a file that says the same"
    assert soft.replace(search={"estimator": "paired"}) == plain
    assert soft.replace(search={"steps": 7}).search.commit_gap == soft.search.commit_gap
    darts = plain.replace(search={"strategy": "darts"})
    assert darts == Experiment.load(value(search={"strategy": "darts"}))
    assert (darts.search.estimator, darts.search.commit_gap) == ("soft", soft.search.commit_gap)
    assert darts.replace(search={"strategy": "gumbel"}) == plain
    own = Experiment.load(value(search={"commit_gap": 0.4}))
    assert own.replace(search={"estimator": "soft"}).search.commit_gap == 0.4, "it was chosen"
    assert plain.replace(search={"estimator": "soft", "commit_gap": 0.6}).search.commit_gap == 0.6


# Tasks.


def test_tasks_get_their_class_count_and_options() -> None:
    experiment = Experiment.load(
        value(tasks=["semseg", "edge"], task_options={"edge": {"weight": 7, "positive_weight": 0.95}})
    )
    tasks = experiment.resolved_tasks()
    assert tasks["semseg"].num_channels == tasks["semseg"].num_labels > 1
    assert tasks["edge"].weight == 7
    assert tasks["edge"].loss_options["positive_weight"] == 0.95
    assert TASKS["edge"].weight == 50
    assert TASKS["edge"].loss_options["positive_weight"] == 0.8


def test_auxiliary_tasks_come_after_the_predicted_ones() -> None:
    experiment = Experiment.load(value(auxiliary_tasks=["normals"]))
    assert experiment.all_tasks == ("semseg", "depth", "normals")
    assert len(experiment.search_space().pools(experiment.tasks, experiment.all_tasks)) == 6


@pytest.mark.parametrize("name", TASKS.names)
def test_task_says_when_its_class_count_is_missing(name: str) -> None:
    task = TASKS[name]
    if task.channels is None:
        with pytest.raises(ConfigError, match="number of classes"):
            task.with_options()
        with pytest.raises(ConfigError, match="no class count yet"):
            _ = task.num_channels
        assert task.with_options(7).num_labels == 7
    else:
        assert task.with_options().num_channels == task.channels
    if task.count_varies:
        assert task.with_options(99).num_channels == task.with_options(99).num_labels == 99
    elif task.target == "classes" and task.channels is not None:
        with pytest.raises(ConfigError, match="classes, the data set has 99"):
            task.with_options(99)


@pytest.mark.parametrize(
    ("changes", "overrides", "match"),
    [
        ({"space": "a" * 5000}, [], "no such file"),
        ({f"k{i}": 1 for i in range(2000)}, [], "1980 more problems"),
        ({"plugins": ["unittest.__main__"]}, [], "plugins: cannot import 'unittest.__main__' .SystemExit"),
        ({}, ["seed" + ".x" * 20_000 + "=1"], "at most 32 dots, got 20000"),
        ({}, ["a" * 100_000], "expected key.path=value"),
    ],
)
def test_giant_and_hostile_values_are_refused_briefly(
    changes: dict[str, Any], overrides: list[str], match: str
) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        Experiment.load({"tasks": ["semseg"], **changes}, overrides)
    assert len(str(caught.value)) < 6000
