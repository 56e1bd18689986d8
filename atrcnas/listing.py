"""`atrcnas list` and `atrcnas keys`: what can be named in an experiment, and every key with its meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from atrcnas.ground.registry import resolve
from atrcnas.spec.bundled import Shelf, names, shelf_dir
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.keys import Key, named
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.loggers import LOGGERS
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES
from atrcnas.spec.tasks import TASKS

_SHELVES: dict[str, Shelf] = {
    "spaces": "search_spaces",
    "presets": "search_spaces/presets",
    "experiments": "experiments",
}
_TABLES: dict[str, Iterable[Any]] = {
    "strategies": STRATEGIES,
    "estimators": ESTIMATORS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "loss-weightings": LOSS_WEIGHTINGS,
    "loggers": LOGGERS,
}


def lines(what: str) -> list[str]:
    """One line per entry; tasks and data sets also show their options."""
    if what in _SHELVES:
        return _table({name: _first_comment(_SHELVES[what], name) for name in names(_SHELVES[what])})
    if what == "kinds":
        return _table({kind.name: f"{kind.letter}  {kind.description}" for kind in KINDS})
    if what in _TABLES:
        return _table({record.name: record.description for record in _TABLES[what]})
    found: list[str] = []
    if what == "tasks":
        for task in TASKS:
            values = task.options({})
            found.append(f"{task.name}: {task.description}; {task.score} {_arrow(task.higher_is_better)}")
            found += _options(type(values), values.model_dump())
        return found
    for record in DATASETS:
        found.append(f"{record.name}: {record.description}")
        found += _options(resolve(record.source).Options, {})
    return found


def key_lines(name: str | None) -> Iterator[str]:
    """Each key of a section, or all: type, range and default in one line, the meaning below.

    Raises:
        ConfigError: no key or section of that name.
    """
    for number, section in enumerate(named(name)):
        yield from ([""] if number else [])
        yield section.title.replace("`", "")
        for key in section.keys:
            yield f"  {key.path}: {_value(key)}"
            yield from textwrap.wrap(key.meaning, 100, initial_indent="      ", subsequent_indent="      ")


def _value(key: Key) -> str:
    """What may stand behind a key, and what does if nothing is said."""
    allowed = ", ".join(filter(None, (key.type.replace("`", ""), key.range)))
    return f"{allowed} [required]" if key.default is None else f"{allowed} [{key.default}]"


def _options(model: type[BaseModel], values: Mapping[str, Any]) -> list[str]:
    """A line per option, with its value where there is one."""
    return [
        f"    {key}: {field.description or ''}" + (f" [{values[key]}]" if key in values else "")
        for key, field in model.model_fields.items()
    ]


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"{name:{width}}  {text}" for name, text in rows.items()]


def _first_comment(shelf: Shelf, name: str) -> str:
    text = (shelf_dir(shelf) / f"{name}.yaml").read_text(encoding="utf-8")
    return text.splitlines()[0].removeprefix("#").strip() if text.startswith("#") else ""


def _arrow(higher: bool) -> str:
    return "(higher is better)" if higher else "(lower is better)"
