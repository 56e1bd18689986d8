"""Where tasks part in the encoder: a tree, given as the groups of tasks at each branching point.

``{stage3: [[semseg, human_parts], [depth, normals, edge]]}``: before ``stage3`` all tasks share the encoder, from there on
each group has its own. A point that is not named has the groups of the point before it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.schema import show

Groups = tuple[tuple[str, ...], ...]
STEM = "stem"  # the branching point before the first layer
_POINT = re.compile(rf"{STEM}|stage(?P<stage>[1-9][0-9]{{0,2}})(?:\.(?P<block>[1-9][0-9]{{0,2}}))?")
_TOGETHER = "together"


@dataclass(frozen=True)
class Branches:
    """One tree over tasks, in canonical form: equal trees are equal objects.

    Attributes:
        tasks: all of them, in the order in which they and their groups are listed.
        points: branching points of the backbone, from the image on; the part of the encoder after each may be split.
        grouping: the groups at each point; each refines the one before, since branches never join again.
    """

    tasks: tuple[str, ...]
    points: tuple[str, ...]
    grouping: tuple[Groups, ...]

    @classmethod
    def of(
        cls, groups: Mapping[str, Sequence[Sequence[str]]], tasks: Sequence[str], points: Sequence[str] | None = None
    ) -> Branches:
        """The tree of a ``branches:`` section.

        Args:
            groups: branching point -> groups of tasks; a point that is not named has those of the point before.
            tasks: every task that has to be in one group of each point.
            points: those of the backbone, in order; the named ones in the order of their names if None.

        Raises:
            ConfigError: ``branches...``: an unknown point, a task that is not in exactly one group, or branches that join.
        """
        points = tuple(sorted(groups, key=_place)) if points is None else tuple(points)
        for point in groups:
            if point not in points:
                raise ConfigError(_unknown(point, points))
        before: Groups = (tuple(tasks),)
        grouping: list[Groups] = []
        for point in points:
            if point in groups:
                here = _canonical(groups[point], tasks, point)
                if not refines(here, before):
                    raise ConfigError(
                        f"branches.{point}: expected groups that divide those of the point before, "
                        f"{_listed(before)}, since branches never join again; got {_listed(here)}. "
                        "Divide them here, or join them at the earlier point too."
                    )
                before = here
            grouping.append(before)
        return cls(tuple(tasks), points, tuple(grouping))

    @classmethod
    def all_together(cls, tasks: Sequence[str], points: Sequence[str]) -> Branches:
        """The encoder that all tasks share."""
        return cls.of({}, tasks, points)

    @classmethod
    def all_apart(cls, tasks: Sequence[str], points: Sequence[str]) -> Branches:
        """An encoder for each task, from the first point on."""
        return cls.of({points[0]: [[task] for task in tasks]}, tasks, points)

    @classmethod
    def from_key(cls, key: str, tasks: Sequence[str], points: Sequence[str] | None = None) -> Branches:
        """The tree that has this :attr:`key`.

        Raises:
            ConfigError: another form, or see :meth:`of`.
        """
        parts = [] if key == _TOGETHER else [part.partition(":") for part in key.split(" ")]
        if any(not (point and groups) for point, _, groups in parts) or len({part[0] for part in parts}) < len(parts):
            raise ConfigError(f"branches: expected 'POINT:a+b|c POINT:a|b|c', or '{_TOGETHER}', got {show(key)}.")
        groups = {point: [group.split("+") for group in text.split("|")] for point, _, text in parts}
        return cls.of(groups, tasks, points)

    def groups(self, point: str) -> Groups:
        """The groups of tasks that share the part of the encoder after a point.

        Raises:
            ConfigError: the backbone has no such point.
        """
        if point not in self.points:
            raise ConfigError(_unknown(point, self.points))
        return self.grouping[self.points.index(point)]

    @property
    def leaves(self) -> Groups:
        """The groups at the end of the encoder."""
        return self.grouping[-1] if self.grouping else (self.tasks,)

    def as_mapping(self) -> dict[str, list[list[str]]]:
        """The ``branches:`` section: only the points at which tasks part; ``of`` reads it back."""
        before: Groups = (self.tasks,)
        parted: dict[str, list[list[str]]] = {}
        for point, groups in zip(self.points, self.grouping, strict=True):
            if groups != before:
                parted[point] = [list(group) for group in groups]
            before = groups
        return parted

    @property
    def key(self) -> str:
        """The tree as one word for each point at which tasks part, ``stage3:a+b|c stage4:a|b|c``; or ``together``."""
        words = (f"{point}:{_listed(groups)}" for point, groups in self.as_mapping().items())
        return " ".join(words) or _TOGETHER

    @property
    def together(self) -> bool:
        """Whether all tasks share all of the encoder."""
        return not self.as_mapping()


def refines(finer: Groups, coarser: Groups) -> bool:
    """Whether each group of ``finer`` lies within one group of ``coarser``; equal groups do."""
    return all(any(set(group) <= set(whole) for whole in coarser) for group in finer)


def _place(point: str) -> tuple[int, int]:
    """Where a point lies among others by its name alone: ``stem``, ``stage1``, ``stage1.2``, ``stage2``."""
    match = _POINT.fullmatch(point)
    if match is None:
        raise ConfigError(
            f"branches.{point[:40]}: expected a branching point such as stem, stage3 or stage3.2. Correct the name."
        )
    return int(match["stage"] or 0), int(match["block"] or 1)


def _canonical(groups: Any, tasks: Sequence[str], point: str) -> Groups:
    """Tasks in order within each group, groups in the order of their first tasks."""
    named = [task for group in groups for task in group]
    if sorted(named) != sorted(tasks) or not all(groups):
        raise ConfigError(
            f"branches.{point}: expected each of {', '.join(tasks)} in exactly one group, "
            f"got {_listed(groups)}. Correct the groups."
        )
    order = {task: place for place, task in enumerate(tasks)}
    inside = (tuple(sorted(group, key=order.__getitem__)) for group in groups)
    return tuple(sorted(inside, key=lambda group: order[group[0]]))


def _listed(groups: Sequence[Sequence[str]]) -> str:
    return "|".join("+".join(group) for group in groups)


def _unknown(point: str, points: Sequence[str]) -> str:
    near = difflib.get_close_matches(point, points, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"branches.{point}: no branching point of this backbone.{hint} Points: {', '.join(points)}."
