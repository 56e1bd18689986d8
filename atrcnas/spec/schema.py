"""Pydantic models of our files: unknown keys refused, all problems reported at once, in the user's words."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Strict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from atrcnas.ground.errors import ConfigError

# Numbers and switches as YAML types them: "7" is not an integer, and true is not a number.
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]


class Spec(BaseModel):
    """Base of every section of a file: immutable, no unknown keys, no silent conversion of text to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


SpecT = TypeVar("SpecT", bound=BaseModel)
_MAX_LINES = 20


def validate(model: type[SpecT], value: Any, where: str, key: str = "") -> SpecT:
    """Build ``model`` from parsed YAML.

    Args:
        model: a :class:`Spec`.
        value: what the YAML held.
        where: file name for messages; "" if it is put before them later.
        key: path of ``value`` in that file, for messages; "" for the whole file.

    Raises:
        ConfigError: one line per problem, of the first twenty, ``where: key.path: expected ..., got ...``.
    """
    if not isinstance(value, Mapping):
        keys = ", ".join(_keys_at(model, []))
        raise ConfigError(f"{_place(where, key)}: expected 'key: value' lines (keys: {keys}), got {show(value)}.")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        every = error.errors()
        details = [detail for detail in every if not _follows(detail, every)]
        lines = list(dict.fromkeys(_explain(model, value, detail, where, key) for detail in details[:_MAX_LINES]))
        if len(details) > _MAX_LINES:
            lines.append(f"{_place(where, key)}: {len(details) - _MAX_LINES} more problems. Correct these first.")
        raise ConfigError("\n".join(lines)) from error
    except RecursionError as error:
        raise ConfigError(f"{_place(where, key)}: nested too deeply. Flatten the document.") from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{_place(where, key)}: expected text, got half of a character ({show(error.object[error.start])}). Remove it."
        ) from error


# Pydantic's types of errors in the words of someone who writes YAML.
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "'key: value' lines",
    "model_type": "'key: value' lines",
    "model_attributes_type": "'key: value' lines",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_pattern_mismatch": "text of the form {pattern}",
}


def _follows(detail: ErrorDetails, others: list[ErrorDetails]) -> bool:
    """Whether a list is too short only because its items were refused."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(o["loc"][: len(loc)] == loc and o["loc"] != loc for o in others)


def _place(where: str, key: str, path: Sequence[str] = ()) -> str:
    return ": ".join(filter(None, (where, ".".join([key, *path] if key else path))))


def _explain(model: type[BaseModel], value: Any, detail: ErrorDetails, where: str, key: str) -> str:
    path, union = _path(model, detail["loc"])
    place, kind = _place(where, key, path), detail["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"{place}: unknown key.{hint} Keys here: {', '.join(known)}."
    if kind == "missing":
        return f"{place}: expected a value, got nothing. Add it."
    if union is not None:
        return f"{place}: expected {union}, got {show(_at(value, path))}."
    if kind in ("value_error", "assertion_error"):
        return f"{place}: {detail['msg'].removeprefix('Value error, ')}"
    expected = _EXPECTED.get(kind, detail["msg"].removeprefix("Input should be ").removeprefix("a valid "))
    if path and path[-1] == "[key]":
        return f"{_place(where, key, path[:-1])}: expected {expected} as the key, got {show(detail['input'])}."
    return f"{place}: expected {expected.format(**detail.get('ctx', {}))}, got {show(detail['input'])}."


def _path(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[str], str | None]:
    """The keys that lead to a problem, and what is expected there if it is one of several forms.

    Where a field is a union, pydantic's own location continues with a name for the form it tried.
    """
    path: list[str] = []
    for part in loc:
        path.append(str(part))
        field = model.model_fields.get(str(part)) or _by_alias(model, str(part))
        if field is None:
            continue
        forms = [form for form in typing.get_args(field.annotation) if form is not types.NoneType]
        if _is_union(field.annotation) and len(forms) > 1:
            return path, field.description or "another form"
        model = nested_model(field.annotation) or model
    return path, None


def _by_alias(model: type[BaseModel], name: str) -> FieldInfo | None:
    return next((field for field in model.model_fields.values() if field.alias == name), None)


def _is_union(annotation: Any) -> bool:
    return isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        if part.isdecimal():  # of a list, whose items are of the model that it was left for
            continue
        field = model.model_fields.get(part) or _by_alias(model, part)
        nested = nested_model(field.annotation) if field else None
        if nested is None:
            break
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or that it holds first; None if it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if _is_union(annotation) or typing.get_origin(annotation) is not None:
        return next((found for arg in typing.get_args(annotation) if (found := nested_model(arg))), None)
    return None


def show(value: Any) -> str:
    """A value as messages quote it, at most 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply to print, or an integer too long
        text = f"{type(value).__name__} that is too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
