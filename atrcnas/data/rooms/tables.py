"""Tables, and the groups of a table with its chairs and what lies on it."""

import math

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.decor import clutter, monitor, table_lamp
from atrcnas.data.rooms.parts import Compound
from atrcnas.data.rooms.seating import chair, office_chair
from atrcnas.data.rooms.style import Style


def _table(style: Style, width: float, depth: float, height: float) -> Compound:
    item = Compound(Semseg.TABLE, (width, depth, height))
    item.box((0, 0, height - 0.02), (width, depth, 0.045), style.wood)
    x, y = width / 2 - 0.06, depth / 2 - 0.06
    for corner in ((-x, -y), (x, -y), (-x, y), (x, y)):
        item.box((*corner, height / 2 - 0.02), (0.06, 0.06, height - 0.05), style.wood)
    return item


def _round_table(style: Style, radius: float, height: float) -> Compound:
    item = Compound(Semseg.TABLE, (2 * radius, 2 * radius, height))
    item.cylinder((0, 0, height - 0.02), radius, 0.04, style.wood)
    item.cylinder((0, 0, height / 2), 0.05, height - 0.05, style.metal)
    item.cylinder((0, 0, 0.02), radius * 0.5, 0.04, style.metal)
    return item


def _strew(rng: np.random.Generator, style: Style, item: Compound, most: int) -> None:
    width, depth, height = item.size
    for _ in range(rng.integers(0, most + 1)):
        item.put(clutter(rng, style), rng.uniform(-0.35, 0.35) * width, rng.uniform(-0.3, 0.3) * depth, height)


def coffee_table(rng: np.random.Generator, style: Style) -> Compound:
    """A low table."""
    height = rng.uniform(0.35, 0.46)
    if rng.random() < 0.3:
        item = _round_table(style, rng.uniform(0.35, 0.5), height)
    else:
        item = _table(style, rng.uniform(0.8, 1.2), rng.uniform(0.5, 0.65), height)
    _strew(rng, style, item, 3)
    return item


def side_table(rng: np.random.Generator, style: Style) -> Compound:
    """A small table, often with a lamp on it."""
    item = _table(style, 0.45, 0.42, rng.uniform(0.48, 0.6))
    if rng.random() < 0.6:
        item.put(table_lamp(rng, style), 0, 0, item.size[2])
    return item


def dining_set(rng: np.random.Generator, style: Style) -> Compound:
    """A table with two to six chairs."""
    height = rng.uniform(0.72, 0.77)
    seats: list[tuple[float, float, float]] = []
    if rng.random() < 0.3:
        table = _round_table(style, rng.uniform(0.45, 0.6), height)
        reach = table.size[0] / 2 + rng.uniform(0.05, 0.2)
        turns = np.arange(rng.integers(2, 5)) * math.pi / 2
        seats = [(-math.sin(turn) * reach, math.cos(turn) * reach, turn) for turn in turns]
    else:
        table = _table(style, rng.uniform(1.2, 1.9), rng.uniform(0.75, 0.95), height)
        reach = table.size[1] / 2 + rng.uniform(0.05, 0.2)
        for x in (-0.25, 0.25):
            seats += [(x * table.size[0], reach, 0.0), (x * table.size[0], -reach, math.pi)]
        if rng.random() < 0.4:
            seats.append((table.size[0] / 2 + 0.15, 0.0, -math.pi / 2))
    _strew(rng, style, table, 4)
    group = Compound(Semseg.TABLE, (table.size[0] + 0.5, table.size[1] + 1.0, height))
    group.put(table, 0, 0)
    model = chair(rng, style)
    for x, y, turn in seats:
        if rng.random() < 0.9:
            group.put(model, x, y, 0, turn + rng.uniform(-0.2, 0.2))
    return group


def desk_set(rng: np.random.Generator, style: Style) -> Compound:
    """A desk against the wall with a screen and a chair to work at."""
    table = _table(style, rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75), rng.uniform(0.72, 0.76))
    width, depth, height = table.size
    if rng.random() < 0.6:
        table.box((width / 2 - 0.24, 0.02, height / 2 - 0.04), (0.4, depth - 0.1, height - 0.1), style.paint)
    table.put(monitor(rng, style), rng.uniform(-0.2, 0.2), depth / 2 - 0.2, height, rng.uniform(-0.2, 0.2))
    if rng.random() < 0.5:
        table.put(table_lamp(rng, style), -width / 2 + 0.15, depth / 2 - 0.15, height)
    _strew(rng, style, table, 2)
    group = Compound(Semseg.TABLE, (width, depth + 0.7, height))
    group.put(table, 0, 0.35)
    seat = office_chair(rng, style) if rng.random() < 0.7 else chair(rng, style)
    group.put(
        seat, rng.uniform(-0.15, 0.1), -depth / 2 + 0.35 - rng.uniform(0.15, 0.35), 0, math.pi + rng.uniform(-0.3, 0.3)
    )
    return group
