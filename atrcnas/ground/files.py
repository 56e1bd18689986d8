"""Reading YAML safely and writing any file atomically."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml

from atrcnas.ground.errors import AtrcnasError, ConfigError

MAX_YAML_BYTES = 4_000_000


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that also refuses duplicated keys and aliases (an alias can expand a small file without bound)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not supported; write the value out", problem_mark=mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key '{key}'", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would take for a number."""


# YAML 1.1 reads 1e-3 as text, for want of a dot; everyone means the number.
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
for _side in (_StrictLoader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML without executing anything.

    Args:
        text: the document.
        where: file name (or other origin) for messages.

    Raises:
        ConfigError: not valid YAML, a duplicated key, an alias, or nested too deeply.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  (_StrictLoader is a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{where}: {line}{error.problem or error}.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{where}: not valid YAML: {str(error).splitlines()[0]}.") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: nested too deeply. Flatten the document.") from error


def read_text(path: Path, noun: str = "file") -> str:
    """Read a UTF-8 text file of at most 4 MB.

    Raises:
        ConfigError: missing, a folder, too large, or not UTF-8.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ConfigError(f"{path}: expected a {noun} of at most 4 MB, got {path.stat().st_size} bytes.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text, got bytes that are not. Save the {noun} as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the {noun} ({error.strerror}). Check the path.") from error


def read_yaml(path: Path, noun: str = "file") -> Any:
    """Read one YAML document from ``path``; see :func:`parse_yaml` and :func:`read_text` for what is refused."""
    return parse_yaml(read_text(path, noun), str(path))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it over ``path``.

    A reader sees the old file or the new one, never a part; a failed write leaves the old file as it was.

    Raises:
        AtrcnasError: the folder is read-only or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise AtrcnasError(
            f"{path}: cannot write ({error.strerror or error}). The file before, if any, is unchanged."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def dump_yaml(value: Any) -> str:
    """YAML in the given key order, small lists on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def write_yaml(path: Path, value: Any) -> None:
    """Write YAML atomically; see :func:`dump_yaml`."""
    write_text(path, dump_yaml(value))
