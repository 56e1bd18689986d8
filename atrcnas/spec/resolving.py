"""The tasks of an experiment with all that its data set and its options say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import Registry, resolve
from atrcnas.spec.data import DataSpec
from atrcnas.spec.datasets import DATASETS, class_colours, class_names
from atrcnas.spec.task_entry import TaskEntry, task_table
from atrcnas.spec.tasks import Task


def resolve_tasks(
    entries: Iterable[TaskEntry], data: DataSpec, data_options: Any, task_options: Mapping[str, Mapping[str, Any]]
) -> dict[str, Task]:
    """Records by name, in the order of ``entries``.

    Args:
        entries: of all tasks of the experiment.
        data: its section on data.
        data_options: those of the data set, checked.
        task_options: by task, of its losses and metric.

    Raises:
        ConfigError: a class count is missing or contradicts the task table, an option is not valid, or a key names a task
            that does not exist.
    """
    entries = list(entries)
    table, source = task_table(entries), resolve(DATASETS[data.name].source)
    if hasattr(source, "check_tasks"):
        source.check_tasks(data_options, table)
    _check_foreground(data, table)
    counts = source.num_classes(data_options)
    names, colours = class_names(source, data_options), class_colours(source, data_options)
    resolved = {}
    for entry in entries:
        later = task_options.get(entry.name, {})
        key = f"tasks.{entry.name}.options" if entry.options and not later else None
        task = table[entry.name].with_options(counts.get(entry.name), {**entry.options, **later}, key)
        resolved[entry.name] = task.with_classes(names.get(entry.name, ()), colours.get(entry.name, ()))
    return resolved


def _check_foreground(data: DataSpec, table: Registry[Task]) -> None:
    for name in data.augment.require_foreground if data.augment else ():
        key = "data.augment.require_foreground"
        if name not in table:
            raise ConfigError(f"{key}: {table.miss(name)}")
        if table[name].target != "classes":
            raise ConfigError(f"{key}: task '{name}' has no classes. Remove it.")
