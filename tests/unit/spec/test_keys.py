"""The table of keys is complete and true: checked against files that load, and against values it says are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from atrcnas import Experiment
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.keys import Key, named, sections

FREE = ("data.options", "backbone.options", "task_options", "loggers")  # their keys depend on what they belong to


def leaves(value: Any, above: str = "") -> Iterator[str]:
    """Paths of the values of a file."""
    if isinstance(value, dict) and value and above not in FREE:
        for key, inner in value.items():
            yield from leaves(inner, f"{above}.{key}" if above else key)
    else:
        yield above


def experiment_keys() -> dict[str, Key]:
    names = ("experiment", "data", "backbone", "model", "search", "retrain", "launch")
    return {key.path: key for name in names for section in named(name) for key in section.keys}


def test_every_value_of_a_written_out_experiment_has_a_key() -> None:
    written = set(leaves(Experiment.load({"tasks": ["depth"]}).dump()))
    assert written <= set(experiment_keys())


def test_every_key_has_a_meaning_and_a_type() -> None:
    for section in sections():
        for key in section.keys:
            assert key.meaning and key.type != "any", key.path


def test_a_default_that_is_written_down_changes_nothing() -> None:
    plain = Experiment.load({"tasks": ["depth"]})
    branches = Experiment.load({"tasks": ["depth"]}, ["search.branches={}"])  # a section that is null by default
    for key in experiment_keys().values():
        if key.default not in (None, "as below") and "[]" not in key.path:  # an item of a list cannot be set alone
            same = Experiment.load({"tasks": ["depth"]}, [f"{key.path}={key.default}"])
            assert same == (branches if key.path.startswith("search.branches.") else plain), key.path


@pytest.mark.parametrize(
    ("path", "words", "refused"),
    [
        ("search.batch_size", "integer, at least 1, at most 65,536", ["0", "65537", "2.5"]),
        ("search.ema", "number or null, more than 0, less than 1", ["0.0", "1.0"]),
        ("retrain.on_nonfinite", "`stop` or `skip` or `lower`", ["go"]),
        ("data.augment.scale", "list of 2: number, at least 0.05, at most 20", ["[0.01, 1.0]", "[0.5, 30.0]", "[1.0]"]),
        ("search.trials.number", "integer, at least 1, at most 10,000,000", ["0"]),
    ],
)
def test_what_is_allowed_is_said_and_the_rest_refused(path: str, words: str, refused: list[str]) -> None:
    key = experiment_keys()[path]
    assert ", ".join(filter(None, (key.type, key.range))) == words
    for value in refused:
        with pytest.raises(ConfigError, match=path.replace(".", r"\.")):
            Experiment.load({"tasks": ["depth"]}, [f"{path}={value}"])


def test_options_of_what_is_registered_are_there() -> None:
    paths = {key.path for section in sections() for key in section.keys}
    assert {"data.options.root", "data.options.values.NAME.scale", "optimizer_options.nesterov"} <= paths
    assert {"task_options.edge.thin_target", "loggers.wandb.mode", "choose", "over"} <= paths
    (edge,) = (key for key in named("task_options.edge.weight")[0].keys)
    assert yaml.safe_load(edge.default or "") == 50


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'search\.steps'"):
        named("search.stesp")
