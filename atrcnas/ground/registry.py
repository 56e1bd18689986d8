"""A registry of frozen records: refuses overwriting, names its entries on a miss, resolves import strings late."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.rank import first_process


class Named(Protocol):
    """Anything a registry can hold."""

    @property
    def name(self) -> str:
        """What it is asked for by."""
        ...


RecordT = TypeVar("RecordT", bound=Named)


class Registry(Generic[RecordT]):
    """Records by name.

    Args:
        noun: what one entry is called in messages, e.g. ``"kind"``.
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
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


def load_plugins(modules: list[str]) -> None:
    """Import the user's own modules, which register kinds, tasks, data sets or metrics; says so on stderr.

    Raises:
        ConfigError: a module cannot be imported.
    """
    for module in modules:
        if module not in sys.modules and first_process():
            print(f"plugins: importing '{module:.80}'", file=sys.stderr)
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:  # a plugin's own code may raise anything
            raise ConfigError(
                f"plugins: cannot import '{module:.80}' ({type(error).__name__}: {error!s:.200}). It must be "
                "importable from here: install its package or put its folder on PYTHONPATH."
            ) from error
