"""Doors, windows and ceiling lamps: what belongs to the building. Wall pieces have z = 0 at their lower edge."""

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.decor import lamp_shade
from atrcnas.data.rooms.parts import Compound, Material, Pattern
from atrcnas.data.rooms.style import Style, fabric, hsv, shade


def door(rng: np.random.Generator, style: Style) -> Compound:
    """A door leaf in its frame, 2.0 to 2.1 m high: a yardstick for the rest of the room."""
    width, height = rng.uniform(0.8, 0.95), rng.uniform(2.0, 2.1)
    item = Compound(Semseg.DOOR, (width + 0.16, 0.05, height + 0.08), casts_shadow=False)
    leaf = style.wood if rng.random() < 0.45 else style.trim
    for side in (-1, 1):
        item.box((side * (width / 2 + 0.04), -0.02, height / 2), (0.08, 0.06, height), style.trim)
    item.box((0, -0.02, height + 0.04), (width + 0.16, 0.06, 0.08), style.trim)
    item.box((0, 0, height / 2), (width, 0.04, height), leaf._replace(pattern=Pattern.PLAIN))
    panel = leaf._replace(colour=shade(leaf.colour, 0.7), pattern=Pattern.PLAIN)
    if rng.random() < 0.6:
        for z, tall in ((height * 0.27, height * 0.34), (height * 0.7, height * 0.4)):
            item.box((0, -0.015, z), (width * 0.7, 0.02, tall), panel)
    side = 1 if rng.random() < 0.5 else -1
    item.box((side * width * 0.41, -0.05, 1.02), (0.12, 0.05, 0.03), style.metal)
    return item


def window(rng: np.random.Generator, style: Style, daylight: bool, room_height: float) -> Compound:
    """A window with its frame, sometimes with curtains."""
    width, height = rng.uniform(0.8, 2.0), min(rng.uniform(0.9, 1.5), room_height - 1.15)
    item = Compound(Semseg.WINDOW, (width, 0.06, height), casts_shadow=False)
    if daylight:
        sky = hsv(rng.uniform(0.53, 0.62), rng.uniform(0.05, 0.35), 1.0)
        ground = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.7))
        glass = Material(ground, sky, Pattern.GRADIENT, height, 0.3, emission=rng.uniform(1.2, 2.0))
    else:
        glass = Material(hsv(0.62, 0.5, 0.12), hsv(0.62, 0.6, 0.2), Pattern.GRADIENT, height, 0.3)
    item.box((0, -0.01, height / 2), (width, 0.02, height), glass)
    for x in np.linspace(-width / 2 + 0.03, width / 2 - 0.03, 3 if width > 1.1 else 2):
        item.box((float(x), -0.02, height / 2), (0.07, 0.05, height), style.trim)
    for z in (0.0, height):
        item.box((0, -0.02, z), (width + 0.08, 0.08, 0.07), style.trim)
    if rng.random() < 0.4:
        cloth = fabric(rng)._replace(pattern=Pattern.STRIPES, period_m=0.09)
        for side in (-1, 1):
            item.box((side * (width / 2 + 0.08), -0.05, height / 2 - 0.02), (0.34, 0.06, height + 0.16), cloth)
    return item


def ceiling_lamp(rng: np.random.Generator, style: Style) -> Compound:
    """A pendant, a globe or a flat panel; its own z = 0 is the ceiling."""
    item = Compound(Semseg.LAMP, (0.5, 0.5, 0.5), casts_shadow=False)
    shade_look, kind = lamp_shade(rng), rng.integers(3)
    drop = rng.uniform(0.35, 0.6)
    if kind == 0:
        item.cylinder((0, 0, -drop / 2), 0.012, drop, style.dark)
        item.cylinder((0, 0, -drop), rng.uniform(0.18, 0.28), 0.22, shade_look)
    elif kind == 1:
        radius = rng.uniform(0.13, 0.2)
        item.cylinder((0, 0, -drop / 2), 0.012, drop, style.dark)
        item.ellipsoid((0, 0, -drop), (radius, radius, radius), shade_look)
    else:
        item.box((0, 0, -0.035), (rng.uniform(0.4, 1.1), 0.4, 0.07), shade_look)
    return item
