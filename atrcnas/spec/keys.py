"""Every key of the files that users write, read from the models that check them."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import resolve
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.loggers import LOGGERS
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.schema import nested_model
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.sweep import SweepSpec
from atrcnas.spec.tasks import TASKS

_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
_SIGNS: tuple[tuple[type[BaseMetadata], str, str], ...] = (
    *((Ge, "ge", "at least"), (Gt, "gt", "more than")),
    *((Le, "le", "at most"), (Lt, "lt", "less than")),
)


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        path: with dots, as on the command line.
        type: of its value, in words.
        range: bounds of its value, or of each of its numbers; "" if it has none.
        default: as YAML; None where a value has to be given.
        meaning: one line.
    """

    path: str
    type: str
    range: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Section:
    """Keys that belong together.

    Attributes:
        name: what it is asked for by; the path that its keys share.
        title: with what the keys depend on, if they do.
        keys: in the order of the file.
    """

    name: str
    title: str
    keys: tuple[Key, ...]


def sections() -> list[Section]:
    """All keys: of an experiment, of what can be registered, of a search space and of a sweep."""
    found = [Section("experiment", "An experiment", tuple(_keys(Experiment, "", nested=False)))]
    for name, field in Experiment.model_fields.items():
        model = nested_model(field.annotation)
        if model is not None and not _is_container(field.annotation):  # lists stand in the first section
            found.append(Section(name, f"`{name}`", tuple(_keys(model, name))))
    found += [_of_record("data.options", "data.name", name, _data_options(name)) for name in DATASETS.names]
    found += [_of_record("optimizer_options", "optimizer", record.name, record.options) for record in OPTIMIZERS]
    found += [_of_record("schedule_options", "schedule", record.name, record.options) for record in SCHEDULES]
    for task in TASKS:
        values = task.options({})
        keys = _keys(type(values), f"task_options.{task.name}", defaults=values.model_dump())
        found.append(Section("task_options", f"`task_options.{task.name}`", tuple(keys)))
    for logger in LOGGERS:
        found.append(
            Section("loggers", f"`loggers.{logger.name}`", tuple(_keys(logger.options, f"loggers.{logger.name}")))
        )
    found.append(Section("space", "A search space, in a file or under `space`", tuple(_keys(SearchSpace, ""))))
    found.append(Section("sweep", "A sweep", tuple(_keys(SweepSpec, ""))))
    return [section for section in found if section.keys]


def named(name: str | None) -> list[Section]:
    """The sections of a name, or the keys whose path begins with it; all if it is None.

    Raises:
        ConfigError: there are none.
    """
    every = sections()
    if name is None:
        return every
    whole = [section for section in every if section.name == name]
    below = [
        Section(section.name, section.title, keys)
        for section in every
        if (keys := tuple(key for key in section.keys if f"{key.path}.".startswith(f"{name}.")))
    ]
    if not (whole or below):
        known = list(dict.fromkeys(section.name for section in every))
        near = difflib.get_close_matches(name, [*known, *(key.path for one in every for key in one.keys)], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"{name:.80}: no such key or section.{hint} Sections: {', '.join(known)}.")
    return whole or below


def _of_record(name: str, key: str, word: str, model: type[BaseModel]) -> Section:
    return Section(name, f"`{name}` with `{key}: {word}`", tuple(_keys(model, name)))


def _data_options(name: str) -> type[BaseModel]:
    options: type[BaseModel] = resolve(DATASETS[name].source).Options
    return options


def _keys(
    model: type[BaseModel], above: str, *, nested: bool = True, defaults: Mapping[str, Any] | None = None
) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = ".".join(filter(None, (above, field.alias or name)))
        inner = nested_model(field.annotation)
        if inner is None or _is_container(field.annotation):
            default = (defaults or {}).get(name, field.get_default(call_default_factory=True))
            shown = None if field.is_required() else _as_yaml(default)
            yield Key(path, _type(field.annotation), _range(field), shown, field.description or "")
            if inner is not None:
                item = ".NAME" if typing.get_origin(field.annotation) is dict else "[]"
                yield from _keys(inner, path + item)
        elif nested:
            if type(None) in typing.get_args(field.annotation):
                shown = "null" if field.default is None else "as below"
                yield Key(path, "`key: value` lines or null", "", shown, field.description or "")
            yield from _keys(inner, path)


def _is_container(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (dict, list, tuple)


def _as_yaml(value: Any) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    plain = list(plain) if isinstance(plain, tuple) else plain
    text = yaml.safe_dump(plain, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return text or "null"


def _type(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys("null" if part is types.NoneType else _type(part) for part in parts))
    if origin is tuple and Ellipsis not in parts:
        return f"list of {len(parts)}: {_type(parts[0])}"
    if origin in (tuple, list):
        return f"list of {_type(parts[0])}"
    if origin is dict or nested_model(annotation) is not None:
        return "`key: value` lines"
    return _WORDS.get(annotation, "any")


def _range(field: FieldInfo) -> str:
    bounds = list(_metadata(field, field.annotation))
    said = [
        f"{words} {getattr(bound, name):,.12g}"
        for kind, name, words in _SIGNS
        for bound in bounds
        if isinstance(bound, kind)
    ]
    return ", ".join(dict.fromkeys(said))


def _metadata(field: FieldInfo | None, annotation: Any) -> Iterator[Any]:
    """The bounds of a field, else of what it consists of."""
    own = [] if field is None else [part for part in field.metadata if isinstance(part, (Ge, Gt, Le, Lt))]
    yield from own
    if own:
        return
    for part in typing.get_args(annotation):
        if isinstance(part, FieldInfo):
            yield from part.metadata
        elif isinstance(part, BaseMetadata):
            yield part
        else:
            yield from _metadata(None, part)
