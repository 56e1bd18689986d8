"""Tasks that an experiment defines itself, made like one of the table."""

from __future__ import annotations

from typing import Any

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS

DATA = {"name": "folder", "options": {"root": "nowhere", "classes": {"semseg": 4}}}
MATERIAL = {"name": "material", "like": "semseg", "class_names": ["wood", "stone", "glass"]}
HEIGHT = {"name": "height", "like": "depth", "unit": "cm", "zoom": "none"}


def load(*tasks: Any, **more: Any) -> Experiment:
    return Experiment.load({"tasks": list(tasks), "data": DATA, **more})


def test_a_task_of_ones_own_is_like_its_original_in_all_that_it_does_not_say() -> None:
    tasks = load("semseg", MATERIAL, auxiliary_tasks=[HEIGHT]).resolved_tasks()
    assert list(tasks) == ["semseg", "material", "height"]
    material, height = tasks["material"], tasks["height"]
    assert (material.channels, material.label_channels, tasks["semseg"].channels) == (3, 3, 4)
    assert material.class_names == ("wood", "stone", "glass")
    assert (material.loss, material.metric, material.target) == ("weighted_cross_entropy", "segmentation", "classes")
    assert (height.unit, height.zoom, height.loss, height.label_channels) == ("cm", "none", "l1", 40)
    assert "material" not in TASKS, "the table of the package stays as it is"


def test_its_definition_is_stored_as_it_was_written_and_loads_again() -> None:
    experiment = load("semseg", MATERIAL, HEIGHT)
    assert experiment.dump()["tasks"] == ["semseg", MATERIAL, HEIGHT]
    assert Experiment.load(experiment.dump()) == experiment
    assert experiment.replace(seed=5).tasks == ("semseg", "material", "height")


def test_classes_may_also_come_from_the_data_options_as_for_any_task() -> None:
    options = {
        "root": "nowhere",
        "class_names": {"material": ["a", "b"]},
        "partial": ["material"],
        "values": {"height": {}},
    }
    plain = {"name": "material", "like": "semseg"}
    tasks = load(plain, HEIGHT, data={"name": "folder", "options": options}).resolved_tasks()
    assert tasks["material"].class_names == ("a", "b")


def test_options_of_its_losses_and_metric_are_given_like_those_of_any_task() -> None:
    options = {"material": {"weight": 2.0, "class_weights": [1, 2.5, 0], "miou_over": "all"}}
    material = load(MATERIAL, task_options=options).resolved_tasks()["material"]
    assert material.weight == 2.0
    assert material.loss_options["class_weights"] == (1, 2.5, 0)
    assert material.metric_options == {"miou_over": "all"}


def test_options_may_stand_in_the_definition_too_and_task_options_go_before_them() -> None:
    material = {**MATERIAL, "options": {"weight": 0.5, "class_weights": [1.0, 2.0, 3.0]}}
    own = load("semseg", material).resolved_tasks()["material"]
    assert own.weight == 0.5 and own.loss_options["class_weights"] == (1.0, 2.0, 3.0)
    later = load("semseg", material, task_options={"material": {"weight": 4.0}}).resolved_tasks()["material"]
    assert later.weight == 4.0 and later.loss_options["class_weights"] == (1.0, 2.0, 3.0)
    assert load("semseg", material).dump()["tasks"][1] == material
    with pytest.raises(ConfigError, match=r"tasks\.material\.options\.weight: .*got -1"):
        load("semseg", {**MATERIAL, "options": {"weight": -1}}).resolved_tasks()


def test_a_task_of_the_table_can_be_given_names_and_colours_in_place() -> None:
    own = {"name": "sal", "class_names": ["rest", "salient"], "class_colours": [[0, 0, 0], [9, 9, 9]]}
    assert load(own).resolved_tasks()["sal"].class_colours == ((0, 0, 0), (9, 9, 9))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "m"}, r"tasks: unknown task 'm'.*\{name: m, like: TASK\}"),
        ({"name": "m", "like": "semsge"}, r"tasks\.1\.like: unknown task 'semsge'. Did you mean 'semseg'"),
        ({"like": "semseg"}, r"tasks\.1\.name: expected a value, got nothing"),
        ({"name": "a b", "like": "sal"}, r"tasks\.1\.name: expected text of the form"),
        ({"name": "m", "lik": "sal"}, r"tasks\.1\.lik: unknown key. Did you mean 'like'. Keys here: name, like, "),
        ({"name": "depth", "like": "sal"}, r"like: 'depth' is in the task table already"),
        ({"name": "m", "like": "depth", "classes": 3}, "a task like 'depth' has no classes"),
        ({"name": "m", "like": "edge", "classes": 3}, "'m' has 2 classes"),
        ({"name": "m", "like": "semseg"}, r"Set data\.options\.classes\.m"),
        ({"name": "m", "like": "semseg", "class_names": ["a"]}, "at least 2"),
        ({"name": "m", "like": "semseg", "classes": 3, "class_names": ["a", "b"]}, "as many class_names"),
        ({"name": "m", "like": "semseg", "classes": 2, "class_colours": [[0, 0, 0], [0, 0, 300]]}, r"class_colours"),
        (
            {"name": "m", "like": "depth", "loss": "norml_l1"},
            r"tasks\.1\.loss: unknown loss 'norml_l1'. Did you mean 'normals_l1'",
        ),
        ({"name": "m", "like": "depth", "metric": "deph"}, r"tasks\.1\.metric: unknown metric 'deph'"),
        ({"name": "m", "like": "depth", "metric": "normals"}, "score and higher_is_better"),
        ({"name": "m", "like": "depth", "label_encoder": "bins"}, "unknown label encoder 'bins'"),
        ({"name": "m", "like": "depth", "decode": "sofplus"}, "unknown decoder 'sofplus'"),
        (3, r"tasks\.1: expected the name of a task, or its definition, got 3"),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused_in_one_line(task: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load("semseg", task)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("experiment: ")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"task_options\.material\.class_weights: expected 3 numbers, one per class, got 2"),
        ("balancd", r"class_weights: expected one factor per class"),
        ([1, -2, 1], "class_weights"),
    ],
)
def test_class_weights_that_do_not_fit_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(MATERIAL, task_options={"material": {"class_weights": weights}})


def test_tasks_whose_data_hold_no_such_task_are_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"data\.options\.values\.materiel: unknown task.*Did you mean 'material'"):
        load(MATERIAL, data={"name": "folder", "options": {"root": "x", "values": {"materiel": {}}}})
