"""Every YAML that ships with atrcnas loads by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from atrcnas.ground.files import read_yaml
from atrcnas.spec.bundled import names, shelf_dir
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", names("search_spaces"))
def test_search_space_loads_and_gives_every_pair_a_pool(name: str) -> None:
    space = SearchSpace.load(name)
    named = {task for task in TASKS.names if any(task in key for key in space.pairs)}
    pools = space.pools(tuple(named or TASKS.names))
    assert all(pools.values())


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
