"""A registry of frozen records: refuses overwriting, names its entries on a miss, resolves import strings late."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import re
import sys
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.rank import first_process


class Named(Protocol):
    """Anything a registry can hold."""

    @property
    def name(self) -> str:
        """What it is asked for by."""
        ...


RecordT = TypeVar("RecordT", bound=Named)
_TARGET = re.compile(r"\w+(\.\w+)*:\w+")


class Registry(Generic[RecordT]):
    """Records by name.

    Args:
        noun: what one entry is called in messages, e.g. ``"kind"``.

    Attributes:
        known: all registries there are.
    """

    known: ClassVar[weakref.WeakSet[Registry[Any]]] = weakref.WeakSet()

    def __init__(self, noun: str) -> None:
        self.noun = noun
        Registry.known.add(self)
        self._records: dict[str, RecordT] = {}

    def register(self, record: RecordT) -> RecordT:
        """Add ``record``.

        Raises:
            ConfigError: the name is taken by a different record.
        """
        known = self._records.get(record.name)
        if known is not None and known != record:
            raise ConfigError(f"{self.noun} '{record.name}' is already registered. Choose another name.")
        self._records[record.name] = record
        return record

    def with_records(self, records: Iterable[RecordT]) -> Registry[RecordT]:
        """A registry of its own with further records, or others in place of those of the same name."""
        other: Registry[RecordT] = Registry(self.noun)
        other._records = self._records | {record.name: record for record in records}
        return other

    def __getitem__(self, name: str) -> RecordT:
        if name not in self._records:
            raise ConfigError(self.miss(name))
        return self._records[name]

    def miss(self, name: object) -> str:
        """The message for an unknown ``name``: nearest spelling and all that is known."""
        near = difflib.get_close_matches(str(name), self._records, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"unknown {self.noun} '{name}'.{hint} Known: {', '.join(self._records)}."

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[RecordT]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of registration."""
        return tuple(self._records)


def resolve(target: Any) -> Any:
    """Return ``target``, importing it first if it is a ``"package.module:attribute"`` string."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def located(plugin: Any, home: Path) -> Any:
    """A plugin as it is stored: of a file ``NAME.py`` the absolute path, taken from ``home``; a module as it is."""
    return str(home.resolve() / plugin) if _is_file(plugin) else plugin


def load_plugins(plugins: list[str]) -> None:
    """Import the user's own modules, which register kinds, tasks, data sets or metrics; says so on stderr.

    Args:
        plugins: names of modules, or paths of files ``NAME.py``, which become modules of that name.

    Raises:
        ConfigError: one cannot be imported, or names something that is not there.
    """
    for plugin in plugins:
        name = Path(plugin).stem if _is_file(plugin) else plugin
        if name not in sys.modules and first_process():
            print(f"plugins: importing '{plugin:.200}'", file=sys.stderr)
        try:
            if _is_file(plugin):
                _import_file(name, Path(plugin))
            else:
                importlib.import_module(plugin)
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:  # a plugin's own code may raise anything
            where = _FOUND if _is_file(plugin) else _IMPORTABLE
            raise ConfigError(
                f"plugins: cannot import '{plugin:.200}' ({type(error).__name__}: {error!s:.200}). {where}"
            ) from error
    if plugins:
        _check_targets()


_FOUND = "The path is relative to the experiment file; a run folder keeps it whole, in its experiment.yaml. Correct it there."
_IMPORTABLE = (
    "It must be importable from here: install its package, put its folder on PYTHONPATH, or give its file, "
    "plugins: [NAME.py], relative to the experiment file."
)


def _is_file(plugin: Any) -> bool:
    return isinstance(plugin, str) and plugin.endswith(".py")


def _import_file(name: str, path: Path) -> None:
    """Execute a file as the module ``name``, under which its classes are found by other processes too."""
    known = sys.modules.get(name)
    taken = known is not None or importlib.util.find_spec(name) is not None
    if known is not None and Path(str(getattr(known, "__file__", ""))).resolve() == path.resolve():
        return
    if taken or not name.isidentifier():
        reason = "a module of that name exists already" if taken else "it is no name of a module"
        raise ConfigError(f"plugins: cannot import '{path}' as '{name}': {reason}. Rename the file.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _check_targets() -> None:
    """Import what records name as ``"module:attribute"``, ours excepted: a plugin's slip is told now, not in hours.

    Raises:
        ConfigError: it is not there.
    """
    for registry in tuple(Registry.known):
        for record in registry:
            for field in dataclasses.fields(record) if dataclasses.is_dataclass(record) else ():
                target = getattr(record, field.name)
                if field.type == "str" or not isinstance(target, str) or not _TARGET.fullmatch(target):
                    continue
                if target.startswith(f"{__package__.partition('.')[0]}."):
                    continue
                try:
                    resolve(target)
                except (Exception, SystemExit) as error:  # another module of the plugin may raise anything
                    raise ConfigError(
                        f"plugins: {registry.noun} '{record.name}': cannot find '{target}' that its {field.name} names "
                        f"({type(error).__name__}: {error!s:.200}). Correct the plugin."
                    ) from error
