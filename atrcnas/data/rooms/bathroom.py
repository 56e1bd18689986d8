"""Fixtures of the bathroom."""

import math

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.parts import Anchor, Compound
from atrcnas.data.rooms.style import Style, hsv


def bathtub(rng: np.random.Generator, style: Style) -> Compound:
    """A tub: as long and low as a bed, recognised by the room it is in. Long side to the wall."""
    length, width, height = rng.uniform(1.5, 1.8), rng.uniform(0.7, 0.85), rng.uniform(0.5, 0.6)
    item = Compound(Semseg.FIXTURE, (length, width, height))
    outer = style.ceramic if rng.random() < 0.7 else style.wall
    for side in (-1, 1):
        item.box((0, side * (width / 2 - 0.04), height / 2), (length, 0.08, height), outer)
        item.box((side * (length / 2 - 0.05), 0, height / 2), (0.1, width, height), outer)
    water = style.ceramic._replace(colour=hsv(0.5, 0.35, 0.8) if rng.random() < 0.5 else style.ceramic.colour)
    item.box((0, 0, 0.15), (length - 0.1, width - 0.1, 0.3), water)
    item.cylinder((length / 2 - 0.05, 0, height + 0.08), 0.02, 0.16, style.metal)
    return item


def toilet(rng: np.random.Generator, style: Style) -> Compound:
    """A toilet with its cistern."""
    item = Compound(Semseg.FIXTURE, (0.4, 0.66, 0.8))
    item.box((0, 0.24, 0.58), (0.38, 0.17, 0.4), style.ceramic)
    item.ellipsoid((0, -0.08, 0.33), (0.19, 0.25, 0.12), style.ceramic)
    item.box((0, 0.02, 0.17), (0.24, 0.42, 0.34), style.ceramic)
    lid = style.ceramic if rng.random() < 0.6 else style.paint
    item.cylinder((0, -0.08, 0.41), 0.2, 0.03, lid)
    return item


def washbasin(rng: np.random.Generator, style: Style) -> Compound:
    """A basin on a pedestal or on a cabinet, with a mirror over it."""
    width = rng.uniform(0.5, 0.8)
    # The height counts the mirror, which needs its piece of wall.
    item = Compound(Semseg.FIXTURE, (width, 0.48, 1.9))
    item.box((0, 0, 0.82), (width, 0.46, 0.12), style.ceramic)
    item.ellipsoid((0, -0.04, 0.88), (width * 0.38, 0.16, 0.012), style.metal)
    item.cylinder((0, 0.17, 0.95), 0.018, 0.16, style.metal)
    if rng.random() < 0.5:
        item.cylinder((0, 0.08, 0.38), 0.09, 0.76, style.ceramic)
    else:
        base = Compound(Semseg.CABINET, (width, 0.42, 0.74))
        base.box((0, 0.02, 0.4), (width - 0.02, 0.42, 0.7), style.wood)
        base.box((0, -0.2, 0.6), (0.2, 0.03, 0.02), style.metal)
        item.put(base, 0, 0)
    mirror = Compound(Semseg.PICTURE, (width, 0.03, 0.7), casts_shadow=False)
    mirror.box((0, 0.22, 1.5), (width, 0.03, 0.7), style.metal._replace(colour=hsv(0.55, 0.1, 0.75)))
    item.put(mirror, 0, 0)
    item.anchors.append(Anchor("stand", 0, -0.5, 0, math.pi))
    return item
