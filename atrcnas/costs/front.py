"""The front of score against cost, from scores of each target's row of kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from atrcnas.ground.scores import comparable
from atrcnas.spec.pairs import Pair


class Point(NamedTuple):
    """A config on a front: none costs as little and scores as high."""

    kinds: Mapping[Pair, str]
    score: float
    cost: float


def front(
    rows: Iterable[Iterable[tuple[Mapping[Pair, str], float]]], cost: Callable[[Mapping[Pair, str]], float]
) -> list[Point]:
    """The best joined rows at every cost, by rising cost and score.

    Targets are added one after another, and of what has been joined only the front is kept. That is exact for costs that
    are sums over targets; a label branch that several targets would share may be found too late.

    Args:
        rows: for each target, its rows of kinds with their scores; the score of a config is the sum; NaN is the worst.
        cost: of a config, or of part of one.
    """
    joined = [Point({}, 0.0, 0.0)]
    for scored in rows:
        alone = _front(Point(kinds, comparable(score), cost(kinds)) for kinds, score in scored)
        joined = _front(
            Point(whole, first.score + row.score, cost(whole))
            for first in joined
            for row in alone
            for whole in ({**first.kinds, **row.kinds},)
        )
    return joined


def _front(points: Iterable[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.score)):
        if not kept or point.score > kept[-1].score:
            kept.append(point)
    return kept
