"""Which lamps and windows light the room, seen or not."""

from typing import NamedTuple

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.parts import Vector
from atrcnas.data.rooms.primitives import Primitives

_EMISSION = 9
_MAX_LIGHTS = 3


class Light(NamedTuple):
    """A light: position and size in metres, room frame; a window shines along ``facing``, a lamp (zeros) all around."""

    position: Vector
    facing: Vector
    colour: Vector
    spread: Vector


def _warmth(kelvin_share: float) -> np.ndarray:
    """Colour of a light from warm (0) to cool daylight (1)."""
    return np.array([1.0, 0.78, 0.55]) * (1 - kelvin_share) + np.array([0.9, 0.97, 1.08]) * kelvin_share


def draw_lights(
    rng: np.random.Generator, primitives: Primitives, labels: np.ndarray, daylight: bool, height: float
) -> list[Light]:
    """Switch lamps on or off and let windows shine by day; at most three lights, at least one.

    An unlit lamp's shade loses its emission in ``primitives.material``.
    """
    glowing = np.flatnonzero(primitives.material[:, _EMISSION] > 0)
    kinds = labels[primitives.instance[glowing]]
    lamps, windows = glowing[kinds == Semseg.LAMP], glowing[kinds == Semseg.WINDOW]
    lights = [_window(rng, primitives, row) for row in windows[:2]] if daylight else []
    cool = rng.uniform(0.0, 0.7)
    for row in lamps[np.argsort(-primitives.centre[lamps, 2], kind="stable")]:
        must = not lights
        if len(lights) < _MAX_LIGHTS and (must or rng.random() < (0.35 if daylight else 0.75)):
            lights.append(_lamp(rng, primitives.centre[row], primitives.half[row], height, cool))
        else:
            primitives.material[row, _EMISSION] = 0
    return lights


def _lamp(rng: np.random.Generator, centre: np.ndarray, half: np.ndarray, height: float, cool: float) -> Light:
    power = rng.uniform(2.5, 4.5) if centre[2] > 0.7 * height else rng.uniform(0.7, 1.4)
    below = min(float(centre[2]), height - 0.15)
    spread = (float(half[0]), float(half[1]), float(min(half[2], 0.1)))
    red, green, blue = (power * _warmth(cool)).tolist()
    return Light((float(centre[0]), float(centre[1]), below), (0.0, 0.0, 0.0), (red, green, blue), spread)


def _window(rng: np.random.Generator, primitives: Primitives, row: int) -> Light:
    # The pane's local y axis points out of the room.
    outwards = primitives.extent[row, 1] / np.linalg.norm(primitives.extent[row, 1])
    area = float(primitives.half[row, 0] * primitives.half[row, 2])
    spread = np.abs(primitives.extent[row, 0]) + np.abs(primitives.extent[row, 2])
    position = primitives.centre[row] - 0.12 * outwards
    colour = rng.uniform(6.0, 12.0) * (0.4 + area) * _warmth(rng.uniform(0.7, 1.0))
    return Light(
        tuple(position.tolist()), tuple((-outwards).tolist()), tuple(colour.tolist()), tuple((0.7 * spread).tolist())
    )
