"""Registries refuse overwriting and are helpful on a miss; plugins register by being imported."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import Registry, load_plugins, resolve
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.losses import LOSSES
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


# Plugins that are files.


@pytest.fixture
def plugin_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "beside_the_test.py"
    yield path
    sys.modules.pop(path.stem, None)


def test_a_plugin_file_beside_the_experiment_is_found_and_stored_absolute(
    plugin_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin_file.write_text("LOADED = __name__\n")
    experiment = plugin_file.with_name("mine.yaml")
    experiment.write_text("tasks: [depth]\nplugins: [beside_the_test.py]\n")
    stored = Experiment.load(experiment).dump()["plugins"]
    assert stored == [str(plugin_file)]
    assert sys.modules["beside_the_test"].LOADED == "beside_the_test"
    assert str(plugin_file) in capsys.readouterr().err, "what is executed is announced"
    assert Experiment.load({"tasks": ["depth"], "plugins": stored}).plugins == stored


def test_a_plugin_file_is_looked_for_only_where_it_is_asked_for(
    plugin_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_file.write_text("raise SystemError('executed')\n")
    monkeypatch.chdir(plugin_file.parent)
    Experiment.load({"tasks": ["depth"]})
    other = plugin_file.parent / "other"
    other.mkdir()
    (other / "mine.yaml").write_text("tasks: [depth]\nplugins: [beside_the_test.py]\n")
    with pytest.raises(ConfigError, match=r"other/beside_the_test\.py.*relative to the experiment file"):
        Experiment.load(other / "mine.yaml")


@pytest.mark.parametrize("name", ["json.py", "two words.py"])
def test_a_plugin_file_cannot_stand_in_for_another_module(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("raise SystemError('executed')\n")
    with pytest.raises(ConfigError, match=r"plugins: cannot import .*Rename the file"):
        load_plugins([str(tmp_path / name)])


def test_what_a_plugin_names_but_does_not_have_is_told_when_it_is_loaded(plugin_file: Path) -> None:
    plugin_file.write_text(
        "from atrcnas.spec.losses import LOSSES, Loss\n"
        "LOSSES.register(Loss('late', 'beside_the_test:late'))\n"
        "LOSSES.register(Loss('typo', 'beside_the_test:tpyo'))\n"
        "def late(prediction, target, valid): ...\n"
    )
    try:
        with pytest.raises(
            ConfigError, match=r"plugins: loss 'typo': cannot find 'beside_the_test:tpyo' that its function"
        ):
            load_plugins([str(plugin_file)])
    finally:
        for name in ("late", "typo"):
            LOSSES._records.pop(name, None)


def test_a_task_that_names_an_unknown_loss_is_told_with_the_tasks_name() -> None:
    with pytest.raises(ConfigError, match=r"task 'depth': unknown loss 'l2'. Known: "):
        replace(TASKS["depth"], loss="l2").options({})
