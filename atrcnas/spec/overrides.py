"""Values of single keys, as the command line gives them and messages name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import parse_yaml
from atrcnas.spec.schema import show

_MAX_DEPTH = 32  # of a key
_MOST_NAMED = 5  # differences, in a message


def override(value: dict[str, Any], overrides: Sequence[str], where: str) -> dict[str, Any]:
    """Lay ``key.path=value`` over a parsed file.

    Raises:
        ConfigError: not of that form, or a key below a value that has none.
    """
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{text:.80}': expected key.path=value, e.g. search.steps=1000.")
        section = value
        *parents, last = key.split(".")
        if len(parents) > _MAX_DEPTH:
            raise ConfigError(
                f"'{key[:40]}...': expected at most {_MAX_DEPTH} dots, got {len(parents)}. Check the key."
            )
        for parent in parents:
            nested = section.get(parent)
            if nested is not None and not isinstance(nested, dict):
                raise ConfigError(f"{where}: {key}: '{parent}' holds {show(nested)}, it has no keys below it.")
            section[parent] = dict(nested or {})
            section = section[parent]
        section[last] = parse_yaml(raw, f"{key} on the command line")
    return value


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The keys whose values differ, for a message: "search.steps (100 there, 200 here)"; empty if none does."""
    named = list(_differing(before, now, ""))
    return ", ".join([*named[:_MOST_NAMED], *(["..."] if len(named) > _MOST_NAMED else [])])


def _differing(before: Mapping[str, Any], now: Mapping[str, Any], parents: str) -> Iterator[str]:
    for key in dict.fromkeys([*before, *now]):
        there, here = before.get(key), now.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            yield from _differing(there, here, f"{parents}{key}.")
        elif there != here or key not in before or key not in now:
            shown = (show(values[key]) if key in values else "nothing" for values in (before, now))
            yield "{}{} ({} there, {} here)".format(parents, key, *shown)
