"""`atrcnas list`: what can be named in an experiment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atrcnas.ground.registry import resolve
from atrcnas.spec.bundled import Shelf, names, shelf_dir
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.kinds import KINDS
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
}


def lines(what: str) -> list[str]:
    """One line per entry; data sets also show their options."""
    if what in _SHELVES:
        return _table({name: _first_comment(_SHELVES[what], name) for name in names(_SHELVES[what])})
    if what == "kinds":
        return _table({kind.name: f"{kind.letter}  {kind.description}" for kind in KINDS})
    if what in _TABLES:
        return _table({record.name: record.description for record in _TABLES[what]})
    if what == "tasks":
        return _table(
            {task.name: f"{task.description}; {task.score} {_arrow(task.higher_is_better)}" for task in TASKS}
        )
    found: list[str] = []
    for record in DATASETS:
        found.append(f"{record.name}: {record.description}")
        options: dict[str, Any] = resolve(record.source).Options.model_fields
        found += [f"    {key}: {field.description or ''}" for key, field in options.items()]
    return found


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"{name:{width}}  {text}" for name, text in rows.items()]


def _first_comment(shelf: Shelf, name: str) -> str:
    text = (shelf_dir(shelf) / f"{name}.yaml").read_text(encoding="utf-8")
    return text.splitlines()[0].removeprefix("#").strip() if text.startswith("#") else ""


def _arrow(higher: bool) -> str:
    return "(higher is better)" if higher else "(lower is better)"
