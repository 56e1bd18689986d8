"""Data sets that are drawn and not read: a sample follows from the options, the split and the index alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar, get_args

from atrcnas.data.sample import Split
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.schema import Spec

_SPLITS = get_args(Split)
OptionsT = TypeVar("OptionsT", bound=Spec)


class Generated(Generic[OptionsT]):
    """One split of a drawn data set.

    A subclass draws its samples and says ``name`` (the word in ``data.name``), ``all_tasks``, and ``way_out``, the advice to
    those who name other tasks. Its options have a ``train_size``, ``val_size`` and ``test_size``.

    Attributes:
        place: of the split among the three; what is drawn for one is drawn for no other.
    """

    name: ClassVar[str]
    all_tasks: ClassVar[tuple[str, ...]]
    way_out: ClassVar[str]
    Options: ClassVar[type[Any]]

    def __init__(self, options: OptionsT, split: Split, tasks: Sequence[str]) -> None:
        """Open a split; nothing is drawn before it is asked for.

        Raises:
            ValueError: an unknown split.
            ConfigError: an unknown or repeated task.
        """
        if split not in _SPLITS:
            raise ValueError(f"{self.name}: split: expected one of {', '.join(_SPLITS)}, got {split!r}.")
        if set(tasks) - set(self.all_tasks) or len(set(tasks)) != len(tasks):
            raise ConfigError(
                f"tasks: '{self.name}' has {', '.join(self.all_tasks)}, each once; got {', '.join(map(str, tasks))}. "
                f"{self.way_out}"
            )
        self.options, self.split, self.tasks = options, split, tuple(tasks)
        self.place, self._size = _SPLITS.index(split), int(getattr(options, f"{split}_size"))

    def __len__(self) -> int:
        return self._size

    def check(self, index: int) -> None:
        """Refuse the number of a sample that is not there.

        Raises:
            IndexError: ``index`` is not in [0, len(self)).
        """
        if not 0 <= index < self._size:
            raise IndexError(f"{self.name}: {self.split} has {self._size} images; got index {index}.")
