"""Registries refuse overwriting and are helpful on a miss; plugins register by being imported."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import Registry, load_plugins, resolve
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.tasks import TASKS


@dataclass(frozen=True)
class Record:
    name: str
    size: int = 0


@pytest.fixture
def fruits() -> Registry[Record]:
    registry: Registry[Record] = Registry("fruit")
    registry.register(Record("banana"))
    registry.register(Record("apple", 2))
    return registry


def test_records_are_found_by_name_in_order_of_registration(fruits: Registry[Record]) -> None:
    assert fruits["apple"].size == 2
    assert fruits.names == ("banana", "apple")
    assert [record.name for record in fruits] == ["banana", "apple"]
    assert len(fruits) == 2
    assert "apple" in fruits
    assert "pear" not in fruits
    assert 3 not in fruits


def test_name_that_is_taken_is_refused_and_the_old_record_stays(fruits: Registry[Record]) -> None:
    with pytest.raises(ConfigError, match="fruit 'apple' is already registered"):
        fruits.register(Record("apple", 3))
    assert fruits["apple"].size == 2


def test_equal_record_may_register_twice(fruits: Registry[Record]) -> None:
    """A plugin module that is imported twice does no harm."""
    fruits.register(Record("apple", 2))
    assert len(fruits) == 2


def test_miss_names_the_nearest_and_all(fruits: Registry[Record]) -> None:
    with pytest.raises(ConfigError, match=r"unknown fruit 'appel'\. Did you mean 'apple'\? Known: banana, apple\."):
        fruits["appel"]
    with pytest.raises(ConfigError, match=r"unknown fruit 'xyz'\. Known: banana, apple\."):
        fruits["xyz"]


def test_resolve_imports_late_and_passes_objects_through() -> None:
    assert resolve("math:sqrt") is math.sqrt
    assert resolve(math.sqrt) is math.sqrt


@pytest.mark.parametrize("table", [KINDS, TASKS, DATASETS], ids=lambda table: table.noun)
def test_tables_are_filled_and_described(table: Registry) -> None:
    assert len(table) >= 2
    assert all(record.description for record in table)


@pytest.mark.parametrize("record", [*KINDS, *DATASETS], ids=lambda record: record.name)
def test_module_of_every_record_resolves(record) -> None:
    target = record.module if hasattr(record, "module") else record.source
    assert target is None or callable(resolve(target))


def test_kinds_differ_in_letter_colour_and_code() -> None:
    for field in ("letter", "colour", "reference_code"):
        values = [getattr(kind, field) for kind in KINDS if getattr(kind, field) is not None]
        assert len(set(values)) == len(values), field


def test_plugin_registers_by_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin_of_the_test.py").write_text("LOADED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_plugins(["plugin_of_the_test"])
    assert sys.modules.pop("plugin_of_the_test").LOADED


@pytest.mark.parametrize("name", ["no_such_plugin_here", "os.no_such_part"])
def test_plugin_that_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"plugins: cannot import '{name}'.*PYTHONPATH"):
        load_plugins([name])


@pytest.mark.parametrize("name", ["", ".relative", "a..b"])
def test_plugin_name_that_is_not_a_module_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="plugins: cannot import"):
        load_plugins([name])


@pytest.mark.parametrize("source", ["this is no python", "1 / 0", "import os\nos.no_such_thing"])
def test_plugin_with_a_fault_of_its_own_is_named(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_plugin_of_the_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"plugins: .*faulty_plugin_of_the_test"):
        load_plugins(["faulty_plugin_of_the_test"])
