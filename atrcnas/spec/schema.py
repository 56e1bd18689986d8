"""Pydantic models of our files: unknown keys refused, every problem told in the user's words, all at once."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Strict, ValidationError
from pydantic_core import ErrorDetails

from atrcnas.ground.errors import ConfigError

# Numbers and switches as YAML types them: "7" is no integer, and true is no number.
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]


class Spec(BaseModel):
    """Base of every section of a file: immutable, no unknown keys, no silent conversion of text to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


SpecT = TypeVar("SpecT", bound=BaseModel)


def validate(model: type[SpecT], value: Any, where: str) -> SpecT:
    """Build ``model`` from parsed YAML.

    Args:
        model: a :class:`Spec`.
        value: what the YAML held.
        where: file name for messages.

    Raises:
        ConfigError: one line per problem, ``where: key.path: expected ..., got ...``.
    """
    if not isinstance(value, Mapping):
        keys = ", ".join(_keys_at(model, []))
        raise ConfigError(f"{where}: expected 'key: value' lines (keys: {keys}), got {_show(value)}.")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        lines = dict.fromkeys(_explain(model, detail, where) for detail in error.errors())
        raise ConfigError("\n".join(lines)) from error
    except RecursionError as error:
        raise ConfigError(f"{where}: nested too deeply. Flatten the document.") from error


def _explain(model: type[BaseModel], detail: ErrorDetails, where: str) -> str:
    path = [str(part) for part in detail["loc"]]
    key, got = ".".join(path), _show(detail["input"])
    place = f"{where}: {key}" if key else where
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"{place}: unknown key.{hint} Keys here: {', '.join(known)}."
    if detail["type"] == "missing":
        return f"{place}: expected a value, got nothing. Add the key."
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("value_error", "assertion_error"):
        return f"{place}: {message}"
    message = message.removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place}: expected {message}, got {got}."


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        nested = _nested_model(model.model_fields[part].annotation) if part in model.model_fields else None
        if nested is None:
            break
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next((found for arg in typing.get_args(annotation) if (found := _nested_model(arg))), None)
    return None


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
