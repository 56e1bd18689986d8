"""Every YAML that ships with atrcnas loads by its name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from atrcnas.cli import app
from atrcnas.ground.files import read_yaml
from atrcnas.spec.bundled import names, shelf_dir
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import all_pairs
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", names("search_spaces"))
def test_a_search_space_gives_every_pair_a_choice_that_fits_it(name: str) -> None:
    space = SearchSpace.load(name)
    named = tuple(task for task in TASKS.names if any(task in key for key in space.pairs))
    tasks = named or tuple(TASKS.names)
    pools = space.pools(tasks)
    assert set(pools) == set(all_pairs(tasks, space.levels))
    for pair, pool in pools.items():
        assert len(set(pool)) == len(pool) > 1
        assert all(KINDS[kind].on_diagonal or not pair.on_diagonal for kind in pool)


@pytest.mark.parametrize("name", names("search_spaces/presets"))
def test_preset_loads_and_gives_every_pair_a_kind(name: str) -> None:
    config = ContextConfig.load(name)
    assert config.kinds(config.tasks or TASKS.names[: config.num_tasks])


def test_presets_with_other_heads_have_the_contexts_of_those_they_are_named_after() -> None:
    changed = [name for name in names("search_spaces/presets") if name.endswith("-aspp")]
    assert changed
    for name in changed:
        own, published = ContextConfig.load(name), ContextConfig.load(name.removesuffix("-aspp"))
        assert own.pairs == published.pairs
        assert own.model.given() == {**published.model.given(), "head": "aspp"}


@pytest.mark.parametrize("name", names("experiments"))
def test_experiment_loads(name: str) -> None:
    assert Experiment.load(name).tasks


def test_folders_are_those_of_the_repository() -> None:
    assert shelf_dir("search_spaces") == ROOT / "search_spaces"


BUNDLED = sorted(path for shelf in ("search_spaces", "experiments") for path in (ROOT / shelf).rglob("*.yaml"))


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_is_plain_and_without_duplicate_keys(path: Path) -> None:
    read_yaml(path)


COMMENTED = [
    pytest.param(command, path, id=f"{path.stem}: {command}")
    for path in BUNDLED
    # What follows three spaces is a remark.
    for command in re.findall(r"^#.*?\batrcnas ((?:(?!   ).)+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
]


@pytest.mark.parametrize(("command", "path"), COMMENTED)
def test_a_command_in_a_comment_is_complete_and_names_what_there_is(command: str, path: Path) -> None:
    """Parsed as the command line does, which refuses unknown words and missing options; not run."""
    group, words = typer.main.get_command(app), shlex.split(command)
    while hasattr(group, "commands"):
        assert words[0] in group.commands, command
        group = group.commands[words.pop(0)]
    given = group.make_context("atrcnas", words).params
    if "experiment" in given:
        assert Experiment.load(given["experiment"]).name == path.stem
    if given.get("contexts"):
        assert str(given["contexts"]) in names("search_spaces/presets")
    if "archive" in given:
        described = Experiment.load(path.stem).data
        assert (given["name"], Path(given["root"])) == (described.name, Path(described.options["root"]))
