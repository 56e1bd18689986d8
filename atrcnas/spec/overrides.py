"""Values of single keys, as the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import parse_yaml
from atrcnas.spec.schema import show

_MAX_DEPTH = 32  # of a key


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
