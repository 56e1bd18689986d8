"""Reading YAML safely and writing any file atomically."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from atrcnas.ground.errors import AtrcnasError, ConfigError, RunError
from atrcnas.ground.opening import read_regular

# Ten times the largest file anyone has needed; PyYAML takes a second to read that much.
MAX_YAML_BYTES = 128_000
PARTIAL = ".partial-"  # for files that are being written; one that stays was left by a process that was killed
# What a file system answers that cannot sync a folder, or a folder that may be written to but not listed.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
_MAX_DIGITS = 100
_MAX_BRACKETS = 100


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that also refuses what no file of ours needs and a hostile one abuses.

    These are duplicated keys, aliases (they can expand a small file without bound), binary data, sets, and integers of
    more digits than Python prints.
    """

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """An opening bracket; PyYAML looks ahead past a thousand of them, in time that grows with their square."""
        if self.flow_level >= _MAX_BRACKETS:
            raise yaml.MarkedYAMLError(
                problem="nested too deeply. Flatten the document",
                problem_mark=self.get_mark(),
            )
        super().fetch_flow_collection_start(token)

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

    def construct_short_int(self, node: yaml.ScalarNode) -> int:
        """An integer; one in base 60 (``1:59``) would take time that grows with the square of its length."""
        if len(str(node.value)) > _MAX_DIGITS:
            raise yaml.MarkedYAMLError(
                problem=f"expected an integer of at most {_MAX_DIGITS} digits", problem_mark=node.start_mark
            )
        return int(self.construct_yaml_int(node))


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_short_int)
for _kind in ("binary", "set", "omap", "pairs"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _StrictLoader.construct_undefined)  # type: ignore[type-var]


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would take for a number."""


# YAML 1.1 reads 1e-3 as text, since it has no dot; everyone means the number.
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
for _side in (_StrictLoader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML without executing anything.

    Args:
        text: the document.
        where: file name (or other origin) for messages.

    Raises:
        ConfigError: not valid YAML, a duplicated key, an alias, too long, or nested too deeply.
    """
    if len(text) > MAX_YAML_BYTES:
        raise ConfigError(f"{where}: expected at most {MAX_YAML_BYTES} characters, got {len(text)}. Shorten it.")
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
    except (LookupError, TypeError, AttributeError) as error:  # PyYAML's own, on a tag before a value of another kind
        raise ConfigError(f"{where}: not valid YAML: a tag (!!...) does not fit its value. Remove it.") from error


def read_text(path: Path, noun: str = "file") -> str:
    """Read a UTF-8 text file of at most 128 kB.

    Raises:
        ConfigError: missing, not a regular file, too large, or not UTF-8.
    """
    try:
        return read_regular(path, MAX_YAML_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text, got bytes that are not. Save the {noun} as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the {noun} ({error.strerror}). Check the path.") from error


def read_yaml(path: Path, noun: str = "file") -> Any:
    """Read one YAML document from ``path``; see :func:`parse_yaml` and :func:`read_text` for what is refused."""
    return parse_yaml(read_text(path, noun), str(path))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it over ``path``.

    A reader sees the old file or the new one, never a part; a failed write leaves the old file as it was. The new one
    survives a power failure once this returns.

    Raises:
        AtrcnasError: the folder is read-only or the disk is full.
    """
    temporary: Path | None = None
    left = "The previous file, if any, is unchanged."
    try:
        make_folder(path.parent)
        name = path.with_name(f"{PARTIAL}{path.name}.{secrets.token_hex(8)}{path.suffix}")
        # Not tempfile, which makes files only their owner may read: here the umask decides.
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        temporary = name
        write(temporary)
        sync_file(temporary)
        temporary.replace(path)
        temporary, left = None, "The new file is there, but a power failure may still undo it."
        sync_folder(path.parent)
    except OSError as error:
        raise AtrcnasError(
            f"{path}: cannot write ({error.strerror or error}{_room(path.parent)}). {left} "
            "Free some space, or write elsewhere."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # the next run that locks the folder removes what stays
                temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that their names survive a power failure.

    Raises:
        OSError: one cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk; its name is there once its folder is synced."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Where a file of a run is added to or cut.

    Raises:
        RunError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot write ({error.strerror}). Free some space, then --resume.") from error


def _room(folder: Path) -> str:
    try:
        system = os.statvfs(folder)
    except OSError:
        return ""
    if system.f_files and not system.f_favail:  # some file systems do not count inodes
        return "; no inodes are left there: remove files, however small"
    return f"; {system.f_bavail * system.f_frsize / 1e6:.0f} MB free there"


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; strict JSON has no NaN, so the caller turns one into null and a reason."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def nan_to_null(value: Any) -> Any:
    """The same JSON value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: nan_to_null(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_null(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def dump_yaml(value: Any) -> str:
    """YAML in the given key order, small lists on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def write_yaml(path: Path, value: Any) -> None:
    """Write YAML atomically; see :func:`dump_yaml`."""
    write_text(path, dump_yaml(value))
