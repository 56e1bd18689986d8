"""Small things and wall decoration: clutter, screens, plants, pictures, rugs."""

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.parts import Compound, Material, Pattern
from atrcnas.data.rooms.style import Style, fabric, hsv, shade


def clutter(rng: np.random.Generator, style: Style) -> Compound:
    """A bowl, a box, a stack of books, a vase or an open laptop."""
    item = Compound(Semseg.PROP, (0.3, 0.3, 0.3))
    look = Material(hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.4, 0.9)))
    kind = rng.integers(5)
    if kind == 0:
        item.ellipsoid((0, 0, 0.06), (0.14, 0.14, 0.07), look)
    elif kind == 1:
        item.box((0, 0, 0.09), (0.22, 0.16, 0.18), look)
    elif kind == 2:
        item.box((0, 0, 0.025), (0.2, 0.27, 0.05), look)
        item.box((0.01, 0.01, 0.07), (0.18, 0.24, 0.04), style.second_fabric)
    elif kind == 3:
        item.cylinder((0, 0, 0.12), 0.05, 0.24, look)
        item.ellipsoid((0, 0, 0.32), (0.12, 0.12, 0.12), _leaves(rng))
    else:
        item.box((0, 0, 0.01), (0.34, 0.24, 0.02), style.metal)
        item.box((0, 0.13, 0.12), (0.34, 0.015, 0.22), style.dark, tilt=-0.3)
    return item


def _screen(rng: np.random.Generator) -> Material:
    if rng.random() < 0.5:
        return Material(hsv(0.6, 0.2, 0.08), grain=0.0)
    lit = hsv(rng.random(), rng.uniform(0.1, 0.6), 0.8)
    return Material(lit, hsv(rng.random(), 0.4, 0.5), Pattern.BLOCKS, 0.2, 0.0, emission=0.6)


def monitor(rng: np.random.Generator, style: Style) -> Compound:
    """A computer screen on a foot."""
    item = Compound(Semseg.PROP, (0.55, 0.2, 0.5))
    item.box((0, 0, 0.3), (0.56, 0.03, 0.34), style.dark)
    item.box((0, -0.016, 0.3), (0.52, 0.006, 0.3), _screen(rng))
    item.box((0, 0.02, 0.08), (0.05, 0.03, 0.16), style.dark)
    item.box((0, 0, 0.01), (0.24, 0.18, 0.02), style.dark)
    return item


def television(rng: np.random.Generator, style: Style) -> Compound:
    """A television on a short foot."""
    width = rng.uniform(0.9, 1.3)
    item = Compound(Semseg.PROP, (width, 0.2, 0.7))
    item.box((0, 0, 0.06 + width * 0.29), (width, 0.05, width * 0.58), style.dark)
    item.box((0, -0.027, 0.06 + width * 0.29), (width - 0.05, 0.006, width * 0.58 - 0.05), _screen(rng))
    item.box((0, 0, 0.03), (0.4, 0.2, 0.06), style.dark)
    return item


def _leaves(rng: np.random.Generator) -> Material:
    green = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.65))
    return Material(green, shade(green, 0.35), Pattern.SPECKLE, 0.06, 0.6)


def plant(rng: np.random.Generator, style: Style) -> Compound:
    """A plant in a pot on the floor."""
    height = rng.uniform(0.7, 1.6)
    item = Compound(Semseg.PROP, (0.6, 0.6, height))
    item.cylinder((0, 0, 0.16), 0.17, 0.32, style.paint)
    item.cylinder((0, 0, height * 0.4), 0.025, height * 0.5, style.wood)
    leaves = _leaves(rng)
    for _ in range(rng.integers(4, 8)):
        x, y = rng.normal(0, 0.13, 2)
        radius = rng.uniform(0.1, 0.2)
        item.ellipsoid((x, y, height * rng.uniform(0.5, 0.95)), (radius, radius, radius * 1.3), leaves)
    return item


def picture(rng: np.random.Generator, style: Style) -> Compound:
    """A framed picture; hangs on a wall, its own z = 0 being its lower edge."""
    width, height = rng.uniform(0.4, 1.1), rng.uniform(0.4, 0.8)
    item = Compound(Semseg.PICTURE, (width, 0.04, height), casts_shadow=False)
    item.box((0, 0, height / 2), (width, 0.04, height), style.dark if rng.random() < 0.5 else style.wood)
    paints = hsv(rng.random(), rng.uniform(0.1, 0.7), 0.85), hsv(rng.random(), rng.uniform(0.3, 0.8), 0.4)
    canvas = Material(*paints, Pattern.BLOCKS, rng.uniform(0.1, 0.3), 0.2)
    item.box((0, -0.02, height / 2), (width - 0.08, 0.02, height - 0.08), canvas)
    return item


def rug(rng: np.random.Generator, style: Style) -> Compound:
    """A rug, which belongs to the floor."""
    width, depth = rng.uniform(1.4, 2.2), rng.uniform(1.0, 1.6)
    thickness = rng.uniform(0.006, 0.02)
    item = Compound(Semseg.FLOOR, (width, depth, thickness), casts_shadow=False)
    item.box((0, 0, thickness / 2), (width, depth, thickness), fabric(rng))
    return item


def floor_lamp(rng: np.random.Generator, style: Style) -> Compound:
    """A standing lamp with a shade."""
    height = rng.uniform(1.4, 1.75)
    item = Compound(Semseg.LAMP, (0.4, 0.4, height), casts_shadow=False)
    item.cylinder((0, 0, 0.015), 0.14, 0.03, style.metal)
    item.cylinder((0, 0, height / 2), 0.018, height, style.metal)
    item.cylinder((0, 0, height - 0.13), rng.uniform(0.15, 0.22), 0.28, lamp_shade(rng))
    return item


def table_lamp(rng: np.random.Generator, style: Style) -> Compound:
    """A lamp to stand on furniture."""
    item = Compound(Semseg.LAMP, (0.26, 0.26, 0.45), casts_shadow=False)
    item.ellipsoid((0, 0, 0.09), (0.07, 0.07, 0.1), style.paint)
    item.cylinder((0, 0, 0.2), 0.012, 0.15, style.metal)
    item.cylinder((0, 0, 0.34), rng.uniform(0.1, 0.14), 0.18, lamp_shade(rng))
    return item


def lamp_shade(rng: np.random.Generator) -> Material:
    """Cloth lit from inside; the emission is switched off again where the lamp is not lit."""
    return Material(hsv(rng.uniform(0.08, 0.14), rng.uniform(0.05, 0.3), 0.97), grain=0.05, emission=1.4)
