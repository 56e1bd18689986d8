"""Choosing where the picture is taken: a free place in the room from which something can be seen."""

import math

import numpy as np

from atrcnas.data.rooms.camera import Camera
from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.floor_plan import FloorPlan
from atrcnas.data.rooms.primitives import Primitives

_TRIES = 40
_CANDIDATES = 5
_CLEARANCE_M = 0.75
_WALL_M = 0.45
# What makes a picture worth taking; what is not listed counts a little.
_INTEREST = {Semseg.WALL: 0.0, Semseg.CEILING: 0.0, Semseg.FLOOR: 0.0, Semseg.PERSON: 3.0, Semseg.PROP: 0.3}


def draw_camera(rng: np.random.Generator, plan: FloorPlan, primitives: Primitives, labels: np.ndarray) -> Camera:
    """Draw a camera that stands clear of all solids and looks towards things."""
    centres = _instance_centres(primitives, labels.size)
    weights = np.array([_INTEREST.get(Semseg(label), 1.0) for label in labels])
    views, scores = [], []
    for position in _free_positions(rng, plan, primitives):
        away = centres - position
        distance = np.hypot(away[:, 0], away[:, 1])
        in_reach = (distance > 1.2) & (distance < 6)
        focus = int(np.argmax(weights * rng.random(weights.size) * in_reach))
        heading = math.atan2(away[focus, 1], away[focus, 0]) + rng.normal(0, 0.2)
        tangent = math.tan(rng.uniform(0.5, 0.75))
        ahead = away[:, 0] * math.cos(heading) + away[:, 1] * math.sin(heading)
        sideways = away[:, 1] * math.cos(heading) - away[:, 0] * math.sin(heading)
        seen = (ahead > 0.9) & (np.abs(sideways) < 0.85 * tangent * ahead)
        views.append((position, heading, tangent))
        scores.append((weights * seen / np.maximum(ahead, 1.5)).sum() * rng.uniform(0.6, 1.0))
    position, heading, tangent = views[int(np.argmax(scores))]
    pitch = -rng.uniform(0.02, 0.3) - 0.18 * (float(position[2]) - 1.4)
    return Camera.aimed(tuple(position), heading, pitch, rng.normal(0, 0.025), tangent)


def _instance_centres(primitives: Primitives, num_instances: int) -> np.ndarray:
    counts = np.maximum(np.bincount(primitives.instance, minlength=num_instances), 1)
    sums = [np.bincount(primitives.instance, primitives.centre[:, axis], num_instances) for axis in range(3)]
    return (np.stack(sums) / counts).T


def _free_positions(rng: np.random.Generator, plan: FloorPlan, primitives: Primitives) -> np.ndarray:
    """Up to five places with ``_CLEARANCE_M`` to every solid; the one with the most clearance if there is none."""
    low, high = (_WALL_M, _WALL_M, 1.05), (plan.width - _WALL_M, plan.depth - _WALL_M, 1.9)
    places = rng.uniform(low, high, (_TRIES, 3))
    reach = np.abs(primitives.extent).sum(axis=1)
    gap = np.maximum(np.abs(places[:, None] - primitives.centre) - reach, 0)
    clearance = np.sqrt((gap * gap).sum(axis=2).min(axis=1))
    free = np.flatnonzero(clearance > _CLEARANCE_M)
    if free.size == 0:
        free = np.array([np.argmax(clearance)])
    # Far from the middle there is more to see.
    middle = np.array([plan.width / 2, plan.depth / 2])
    off_centre = np.hypot(*(places[free, :2] - middle).T)
    return places[free[np.argsort(-off_centre, kind="stable")[: 2 * _CANDIDATES : 2]]]
