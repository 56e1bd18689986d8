"""Ordered pairs of tasks at a level, and the rules that give each pair something (a pool, or one kind)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from atrcnas.ground.errors import ConfigError

BASE_LEVEL = 4
LEVELS = (4, 8, 16, 32)
_PAIR = re.compile(r"^([A-Za-z]\w*)<-([A-Za-z]\w*)(?:@(\d+))?$")

ValueT = TypeVar("ValueT")


class Pair(NamedTuple):
    """``target<-source`` at one backbone scale; ``depth<-edge`` at level 4, ``depth<-edge@8`` at level 8."""

    target: str
    source: str
    level: int = BASE_LEVEL

    def __str__(self) -> str:
        suffix = "" if self.level == BASE_LEVEL else f"@{self.level}"
        return f"{self.target}<-{self.source}{suffix}"

    @property
    def on_diagonal(self) -> bool:
        """Whether target and source are the same task."""
        return self.target == self.source

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read ``target<-source`` or ``target<-source@level``.

        Raises:
            ConfigError: another form.
        """
        match = _PAIR.match(text)
        if match is None:
            raise ConfigError(f"expected a pair like 'depth<-edge' or 'depth<-edge@8', got '{text}'.")
        target, source, level = match.groups()
        return cls(target, source, int(level) if level else BASE_LEVEL)


def levels_ascend(levels: tuple[int, ...]) -> tuple[int, ...]:
    """Validate the ``levels`` of a file.

    Raises:
        ValueError: a level appears twice, or the order is not ascending.
    """
    if list(levels) != sorted(set(levels)):
        raise ValueError(f"expected each of {list(LEVELS)} at most once, in ascending order, got {list(levels)}.")
    return levels


def all_pairs(targets: Sequence[str], levels: Sequence[int], sources: Sequence[str] | None = None) -> tuple[Pair, ...]:
    """Every ordered pair, level by level, targets in order, then sources in order."""
    return tuple(Pair(t, s, level) for level in levels for t in targets for s in (sources or targets))


def apply_rules(
    rules: Mapping[str, ValueT], targets: Sequence[str], levels: Sequence[int], sources: Sequence[str] | None = None
) -> dict[Pair, ValueT]:
    """Give each pair the value of its most specific rule.

    Args:
        rules: keys ``"target<-source@level"``, ``"target<-source"`` (all levels), ``"diagonal"`` and ``"default"``.
        targets: tasks that are predicted.
        levels: backbone scales.
        sources: tasks that give context; the targets if None.

    Raises:
        ConfigError: no rule covers a pair.
    """
    given: dict[Pair, ValueT] = {}
    for pair in all_pairs(targets, levels, sources):
        keys = [f"{pair.target}<-{pair.source}@{pair.level}", f"{pair.target}<-{pair.source}"]
        keys += ["diagonal"] if pair.on_diagonal else []
        keys += ["default"]
        found = next((key for key in keys if key in rules), None)
        if found is None:
            raise ConfigError(f"pairs: nothing says what '{pair}' gets. Add '{keys[1]}: ...' or 'default: ...'.")
        given[pair] = rules[found]
    return given


def check_rule_keys(
    keys: Sequence[str], targets: Sequence[str], sources: Sequence[str] | None, levels: Sequence[int]
) -> None:
    """Refuse keys that are not a rule, or that name a task or level outside the experiment, or a source alone as target.

    Raises:
        ConfigError: naming the key and what would fit.
    """
    tasks = list(dict.fromkeys([*targets, *(sources or ())]))
    for key in keys:
        if key in ("default", "diagonal"):
            continue
        pair = Pair.parse(key)
        for task in (pair.target, pair.source):
            if task not in tasks:
                near = difflib.get_close_matches(task, tasks, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise ConfigError(f"pairs.{key}: '{task}' is not a task here.{hint} Tasks: {', '.join(tasks)}.")
        if pair.target not in targets:
            raise ConfigError(
                f"pairs.{key}: '{pair.target}' is an auxiliary task, to which no contexts go. Leave this rule out."
            )
        if "@" in key and pair.level not in levels:
            raise ConfigError(f"pairs.{key}: level {pair.level} is not among levels {list(levels)}.")
