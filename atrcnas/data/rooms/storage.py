"""Cabinets of all kinds and the fixtures of kitchens and bathrooms."""

import math

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.decor import clutter, table_lamp, television
from atrcnas.data.rooms.parts import Anchor, Compound, Material, Pattern
from atrcnas.data.rooms.style import Style, hsv, shade


def _cabinet(
    rng: np.random.Generator, style: Style, size: tuple[float, float, float], columns: int, lines: int
) -> Compound:
    """A box whose front is divided into doors or drawers with handles."""
    width, depth, height = size
    body = style.wood if rng.random() < 0.5 else style.paint
    item = Compound(Semseg.CABINET, size)
    item.box((0, 0, height / 2), size, body._replace(colour=shade(body.colour, 0.75)))
    step_x, step_z = width / columns, (height - 0.06) / lines
    for column in range(columns):
        for line in range(lines):
            x, z = (column + 0.5) * step_x - width / 2, 0.06 + (line + 0.5) * step_z
            item.box((x, -depth / 2, z), (step_x - 0.02, 0.03, step_z - 0.02), body)
            handle = (0.12, 0.03, 0.02) if lines > 1 else (0.02, 0.03, 0.16)
            offset = 0.0 if lines > 1 else step_x * (0.38 if column % 2 == 0 else -0.38)
            item.box((x + offset, -depth / 2 - 0.025, z), handle, style.metal)
    return item


def wardrobe(rng: np.random.Generator, style: Style) -> Compound:
    """A tall cabinet with doors."""
    columns = int(rng.integers(2, 4))
    return _cabinet(rng, style, (columns * rng.uniform(0.45, 0.55), 0.6, rng.uniform(1.9, 2.2)), columns, 1)


def dresser(rng: np.random.Generator, style: Style) -> Compound:
    """A chest of drawers with something on it."""
    item = _cabinet(rng, style, (rng.uniform(0.8, 1.4), 0.48, rng.uniform(0.75, 1.0)), int(rng.integers(1, 3)), 3)
    item.put(clutter(rng, style), rng.uniform(-0.3, 0.3), 0, item.size[2])
    item.anchors.append(Anchor("stand", 0, -0.5, 0, math.pi))
    return item


def nightstand(rng: np.random.Generator, style: Style) -> Compound:
    """A bedside cabinet with a lamp."""
    item = _cabinet(rng, style, (0.45, 0.4, rng.uniform(0.45, 0.58)), 1, 2)
    if rng.random() < 0.75:
        item.put(table_lamp(rng, style), 0, 0, item.size[2])
    return item


def television_stand(rng: np.random.Generator, style: Style) -> Compound:
    """A low cabinet with a television."""
    item = _cabinet(rng, style, (rng.uniform(1.2, 1.7), 0.42, rng.uniform(0.4, 0.55)), 3, 1)
    item.put(television(rng, style), 0, 0.05, item.size[2])
    return item


def bookshelf(rng: np.random.Generator, style: Style) -> Compound:
    """Shelves with rows of books."""
    width, depth, height = rng.uniform(0.7, 1.3), 0.3, rng.uniform(1.5, 2.2)
    item = Compound(Semseg.CABINET, (width, depth, height))
    item.box((0, depth / 2 - 0.01, height / 2), (width, 0.02, height), style.wood)
    for side in (-1, 1):
        item.box((side * (width / 2 - 0.015), 0, height / 2), (0.03, depth, height), style.wood)
    num_shelves = int(rng.integers(4, 6))
    step = (height - 0.08) / num_shelves
    for shelf in range(num_shelves + 1):
        z = 0.05 + shelf * step
        item.box((0, 0, z), (width, depth, 0.03), style.wood)
        if shelf < num_shelves and rng.random() < 0.8:
            share, tall = rng.uniform(0.4, 0.94), step * rng.uniform(0.65, 0.85)
            colours = hsv(rng.random(), 0.6, 0.7), hsv(rng.random(), 0.5, 0.35)
            books = Material(*colours, Pattern.BOOKS, rng.uniform(0.03, 0.06), 0.3)
            item.box(
                (-(1 - share) * width / 2 + 0.02, 0.03, z + 0.015 + tall / 2),
                (share * (width - 0.08), 0.2, tall),
                books,
            )
    item.anchors.append(Anchor("stand", 0, -0.5, 0, math.pi))
    return item


def fridge(rng: np.random.Generator, style: Style) -> Compound:
    """A fridge, a cabinet by its looks and by its label."""
    width, height = rng.uniform(0.6, 0.75), rng.uniform(1.6, 1.95)
    cover = style.metal if rng.random() < 0.5 else style.ceramic
    item = Compound(Semseg.CABINET, (width, 0.66, height))
    item.box((0, 0.02, height / 2), (width, 0.62, height), cover)
    split = height * rng.uniform(0.3, 0.65)
    item.box((0, -0.3, split / 2 + 0.03), (width - 0.01, 0.05, split - 0.05), cover)
    item.box((0, -0.3, (height + split) / 2), (width - 0.01, 0.05, height - split - 0.03), cover)
    for z in (split - 0.25, split + 0.25):
        item.box((width / 2 - 0.08, -0.34, z), (0.025, 0.04, 0.3), style.dark)
    return item


def counter(rng: np.random.Generator, style: Style) -> Compound:
    """A run of kitchen cabinets with worktop, sink, stove and often wall cabinets."""
    columns = int(rng.integers(3, 6))
    width = columns * rng.uniform(0.5, 0.6)
    item = _cabinet(rng, style, (width, 0.6, 0.86), columns, 1)
    top = style.wood if rng.random() < 0.4 else style.metal
    item.box((0, -0.01, 0.885), (width, 0.63, 0.04), top)
    where = rng.permutation(columns)
    column_x = [(column + 0.5) * width / columns - width / 2 for column in where]
    item.put(_sink(style), column_x[0], 0, 0.905)
    item.put(_stove(style), column_x[1], 0, 0.0)
    item.put(clutter(rng, style), column_x[2], 0.1, 0.905)
    item.anchors += [Anchor("stand", x, -0.55, 0, math.pi) for x in column_x[:3]]
    if rng.random() < 0.6:
        upper = _cabinet(rng, style, (width, 0.35, 0.65), columns, 1)
        item.put(upper, 0, 0.12, 1.45)
        # The wall behind the wall cabinets is taken.
        item.size = (width, 0.6, 2.1)
    return item


def _sink(style: Style) -> Compound:
    item = Compound(Semseg.FIXTURE, (0.5, 0.4, 0.25))
    item.box((0, -0.02, 0.01), (0.48, 0.4, 0.02), style.metal)
    item.box((0, -0.04, 0.021), (0.4, 0.3, 0.005), style.dark)
    item.cylinder((0, 0.2, 0.12), 0.018, 0.24, style.metal)
    item.box((0, 0.12, 0.24), (0.03, 0.18, 0.03), style.metal)
    return item


def _stove(style: Style) -> Compound:
    item = Compound(Semseg.FIXTURE, (0.56, 0.5, 0.92))
    item.box((0, -0.02, 0.91), (0.54, 0.52, 0.02), style.dark)
    for x in (-0.13, 0.13):
        for y in (-0.14, 0.12):
            item.cylinder((x, y, 0.925), 0.08, 0.015, style.metal)
    item.box((0, -0.325, 0.48), (0.54, 0.03, 0.6), style.dark)
    item.box((0, -0.35, 0.73), (0.44, 0.03, 0.025), style.metal)
    return item
