"""Line charts as numbers that the page's template draws in SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

WIDTH, HEIGHT = 340, 170
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 10, 22
MAX_POINTS = 200
_STEPS = EngFormatter(sep="")


class Curve(NamedTuple):
    """One quantity over steps.

    Attributes:
        name: for the legend; without one it has no entry there.
        steps: rising.
        values: by step; a gap where one is not finite.
        colour: hex.
        dash: as in SVG.
        faint: drawn thin and pale.
    """

    name: str
    steps: NDArray[np.floating[Any]]
    values: NDArray[np.floating[Any]]
    colour: str
    dash: str = ""
    faint: bool = False


class Line(NamedTuple):
    """A curve in pixels: a path, and a dot where there is a single point."""

    name: str
    path: str
    dots: tuple[tuple[float, float], ...]
    colour: str
    dash: str
    faint: bool


class Chart(NamedTuple):
    """What a template draws; all places are in pixels of a WIDTH x HEIGHT picture."""

    title: str
    note: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    mark: float | None


def chart(
    title: str,
    curves: Sequence[Curve],
    note: str = "",
    ends: tuple[float, float] | None = None,
    mark: float | None = None,
    max_points: int = MAX_POINTS,
) -> Chart:
    """Lay out a chart.

    Args:
        title: above it.
        curves: at least one.
        note: below the title.
        ends: of the vertical axis; those of the values if None.
        mark: a step that is marked by a vertical line.
        max_points: of each curve.
    """
    steps = np.concatenate([curve.steps for curve in curves])
    across = _axis(float(steps.min()), float(steps.max()), LEFT, WIDTH - RIGHT)
    values = np.concatenate([curve.values for curve in curves])
    finite = values[np.isfinite(values)]
    low, high = ends or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    up = _axis(low, high, HEIGHT - BOTTOM, TOP)
    return Chart(
        title,
        note,
        tuple(_line(curve, across, up, max_points) for curve in curves),
        tuple((across.place(at), _STEPS(at)) for at in across.ticks(4, whole=True)),
        tuple((up.place(at), _number(at, up)) for at in up.ticks(4)),
        None if mark is None else across.place(mark),
    )


class _Axis(NamedTuple):
    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        return round(self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first), 1)

    def ticks(self, number: int, whole: bool = False) -> list[float]:
        slack = (self.high - self.low) * 1e-6
        found = MaxNLocator(number, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        return [float(at) for at in found if self.low - slack <= at <= self.high + slack]


def _axis(low: float, high: float, first: float, last: float) -> _Axis:
    """From ``low`` to ``high``, or a little more where they are the same."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        room = 0.5 * abs(low) or 0.5
        low, high = low - room, high + room
    return _Axis(low, high, first, last)


def _number(value: float, axis: _Axis) -> str:
    return "0" if abs(value) < 1e-9 * (axis.high - axis.low) else f"{value:.4g}"


def _line(curve: Curve, across: _Axis, up: _Axis, max_points: int) -> Line:
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, min(len(curve.steps), max_points)).round().astype(int))
    parts, pen, points = [], "M", []
    for step, value in zip(curve.steps[kept].tolist(), curve.values[kept].tolist(), strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        points.append((across.place(step), up.place(value)))
        parts.append(f"{pen}{points[-1][0]:g} {points[-1][1]:g}")
        pen = "L"
    dots = tuple(points) if len(points) < 2 else ()
    return Line(curve.name, "".join(parts), dots, curve.colour, curve.dash, curve.faint)
