"""The look of one room: materials drawn once, so that one corner of it says something about the others."""

import colorsys
from typing import NamedTuple

import numpy as np

from atrcnas.data.rooms.parts import Material, Pattern, Vector


class Style(NamedTuple):
    """Materials shared by the furniture of a room."""

    wall: Material
    feature_wall: Material
    floor: Material
    ceiling: Material
    wood: Material
    fabric: Material
    second_fabric: Material
    paint: Material
    metal: Material
    ceramic: Material
    dark: Material
    trim: Material


def hsv(hue: float, saturation: float, value: float) -> Vector:
    """Linear RGB of a colour given as it looks: hue in turns, saturation and value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return red * red, green * green, blue * blue


def shade(colour: Vector, factor: float) -> Vector:
    """The colour times ``factor``, kept within [0, 1]."""
    return min(colour[0] * factor, 1.0), min(colour[1] * factor, 1.0), min(colour[2] * factor, 1.0)


def wood(rng: np.random.Generator) -> Material:
    """Planks, from bleached oak to walnut."""
    colour = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.25, 0.65), rng.uniform(0.35, 0.85))
    return Material(colour, shade(colour, 0.6), Pattern.PLANKS, rng.uniform(0.08, 0.2), 0.35)


def fabric(rng: np.random.Generator) -> Material:
    """Cloth of any colour, mostly plain."""
    colour = hsv(rng.random(), rng.beta(1.5, 3), rng.uniform(0.25, 0.9))
    pattern = (Pattern.PLAIN, Pattern.PLAIN, Pattern.SPECKLE, Pattern.STRIPES, Pattern.CHECKER)[rng.integers(5)]
    return Material(colour, shade(colour, rng.uniform(0.5, 1.6)), pattern, rng.uniform(0.06, 0.2), 0.25)


def _floor(rng: np.random.Generator, tiled: bool) -> Material:
    if tiled or rng.random() < 0.15:
        colour = hsv(rng.uniform(0.0, 0.6), rng.uniform(0.0, 0.25), rng.uniform(0.4, 0.9))
        pattern = Pattern.CHECKER if rng.random() < 0.3 else Pattern.TILES
        return Material(colour, shade(colour, rng.uniform(0.35, 0.75)), pattern, rng.uniform(0.2, 0.5), 0.1)
    if rng.random() < 0.65:
        return wood(rng)
    colour = hsv(rng.random(), rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.75))
    return Material(colour, shade(colour, 0.7), Pattern.SPECKLE, 0.05, 0.3)


def _walls(rng: np.random.Generator, tiled: bool) -> tuple[Material, Material]:
    colour = hsv(rng.uniform(0.0, 0.65), rng.beta(1.2, 6), rng.uniform(0.6, 0.97))
    plain = Material(colour, grain=0.02)
    draw = rng.random()
    if tiled and draw < 0.6:
        tiles = Material(colour, shade(colour, 0.6), Pattern.TILES, rng.uniform(0.12, 0.3), 0.03)
        return tiles, tiles if draw < 0.4 else plain
    if draw < 0.2:
        papered = Material(colour, shade(colour, rng.uniform(0.75, 0.9)), Pattern.STRIPES, rng.uniform(0.1, 0.3), 0.03)
        return plain, papered
    accent = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.85))
    return plain, Material(accent, grain=0.02) if draw < 0.45 else plain


def draw_style(rng: np.random.Generator, tiled: bool) -> Style:
    """Draw the materials of a room; ``tiled`` for rooms with water, where tiles are likely."""
    wall, feature_wall = _walls(rng, tiled)
    white = hsv(0.12, rng.uniform(0, 0.06), rng.uniform(0.88, 0.98))
    paint = hsv(rng.random(), rng.beta(1, 5), rng.uniform(0.3, 0.95))
    return Style(
        wall=wall,
        feature_wall=feature_wall,
        floor=_floor(rng, tiled),
        ceiling=Material(white, grain=0.02),
        wood=wood(rng),
        fabric=fabric(rng),
        second_fabric=fabric(rng),
        paint=Material(paint, grain=0.04),
        metal=Material(hsv(0.6, 0.04, rng.uniform(0.3, 0.75)), grain=0.05),
        ceramic=Material(hsv(0.1, 0.02, 0.96), grain=0.01),
        dark=Material(hsv(0.6, 0.1, rng.uniform(0.1, 0.25)), grain=0.05),
        trim=Material(white if rng.random() < 0.6 else wood(rng).colour, grain=0.03),
    )
