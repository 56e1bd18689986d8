"""A whole room: drawn only from (seed, index), whatever the image size or the label options."""

import math
from dataclasses import dataclass

import numpy as np

from atrcnas.data.rooms.camera import Camera
from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.decor import picture, rug
from atrcnas.data.rooms.floor_plan import FloorPlan, Rectangle
from atrcnas.data.rooms.kinds import KINDS
from atrcnas.data.rooms.lights import Light, draw_lights
from atrcnas.data.rooms.openings import ceiling_lamp, door, window
from atrcnas.data.rooms.parts import Anchor, Compound, Material
from atrcnas.data.rooms.people import person
from atrcnas.data.rooms.primitives import Collector, Primitives
from atrcnas.data.rooms.style import Style, draw_style
from atrcnas.data.rooms.viewpoint import draw_camera

_PEOPLE_CHANCE = 0.56
_LARGE_M2 = 22.0


@dataclass(frozen=True)
class Scene:
    """A room ready to be rendered.

    Attributes:
        kind: key of ``KINDS``.
        size: [3] float32, metres; the shell is the box from the origin to it.
        shell: materials of the six faces, in the order x = 0, x = size, y = 0, y = size, floor, ceiling.
        primitives: the solids.
        labels: [I] int64, the semantic class of each instance; the first three are wall, floor, ceiling.
        used_by: for each person's instance, the instance it uses (-1 for none).
        lights: the lamps that are lit and the windows by day.
        camera: where the picture is taken from.
    """

    kind: str
    size: np.ndarray
    shell: tuple[Material, ...]
    primitives: Primitives
    labels: np.ndarray
    used_by: dict[int, int]
    lights: list[Light]
    camera: Camera


def build_scene(seed: int, index: int) -> Scene:
    """Draw the scene of a global index; the same pair always gives the same scene."""
    rng = np.random.default_rng((seed, index, 0))
    kind = list(KINDS)[rng.integers(len(KINDS))]
    recipe = KINDS[kind]
    style = draw_style(rng, recipe.tiled)
    width, depth = rng.uniform(recipe.shortest_m, recipe.longest_m, 2).tolist()
    plan = FloorPlan(width, depth, rng.uniform(2.35, 2.9))
    daylight = rng.random() < 0.65
    collector = Collector()
    _add_openings(rng, style, plan, collector, daylight)
    _add_furniture(rng, style, plan, collector, kind)
    used_by = _add_people(rng, plan, collector)
    _add_decoration(rng, style, plan, collector)
    labels = np.array(collector.labels, dtype=np.int64)
    primitives = Primitives.from_rows(collector.rows)
    lights = draw_lights(rng, primitives, labels, daylight, plan.height)
    camera = draw_camera(rng, plan, primitives, labels)
    walls = [style.wall] * 4
    walls[rng.integers(4)] = style.feature_wall
    size = np.array([plan.width, plan.depth, plan.height], dtype=np.float32)
    return Scene(kind, size, (*walls, style.floor, style.ceiling), primitives, labels, used_by, lights, camera)


def _add_openings(
    rng: np.random.Generator, style: Style, plan: FloorPlan, collector: Collector, daylight: bool
) -> None:
    if min(plan.width, plan.depth) > 3.4 and rng.random() < 0.25:
        _add_pillar(rng, style, plan, collector)
    for _ in range(rng.integers(1, 4)):
        piece = door(rng, style)
        spot = plan.try_wall_piece(rng, piece.size[0], 0.0, piece.size[2])
        if spot is not None:
            plan.keep_clear(spot, piece.size[0], 0.7)
            collector.place(piece, (spot.x, spot.y, 0.0), spot.yaw)
    for _ in range(rng.integers(1, 4)):
        piece = window(rng, style, daylight, plan.height)
        bottom = rng.uniform(0.85, 1.0)
        spot = plan.try_wall_piece(rng, piece.size[0] + 0.7, bottom, bottom + piece.size[2])
        if spot is not None:
            collector.place(piece, (spot.x, spot.y, bottom), spot.yaw)
    for _ in range(1 if rng.random() < 0.7 else 2):
        x, y = rng.uniform(0.3, 0.7) * plan.width, rng.uniform(0.3, 0.7) * plan.depth
        collector.place(ceiling_lamp(rng, style), (x, y, plan.height), rng.integers(2) * math.pi / 2)


def _add_pillar(rng: np.random.Generator, style: Style, plan: FloorPlan, collector: Collector) -> None:
    """Cut a corner off the room, so that not every room is a box."""
    width, depth = rng.uniform(0.4, 1.3), rng.uniform(0.4, 1.3)
    piece = Compound(Semseg.WALL, (width, depth, plan.height))
    piece.box((0, 0, plan.height / 2), (width, depth, plan.height), style.wall)
    x = width / 2 if rng.random() < 0.5 else plan.width - width / 2
    y = depth / 2 if rng.random() < 0.5 else plan.depth - depth / 2
    plan.rectangles.append(Rectangle(x - width / 2, y - depth / 2, x + width / 2, y + depth / 2))
    collector.place(piece, (x, y, 0.0), 0.0)


def _add_furniture(rng: np.random.Generator, style: Style, plan: FloorPlan, collector: Collector, kind: str) -> None:
    items = KINDS[kind].items
    # A large room holds more: go through the list again, without insisting.
    if plan.width * plan.depth > _LARGE_M2:
        items += tuple(item._replace(chance=0.6 * item.chance) for item in items)
    for item in items:
        if rng.random() > item.chance:
            continue
        piece = item.make(rng, style)
        if item.at_wall:
            spot = plan.try_at_wall(rng, piece.size)
        else:
            spot = plan.try_free(rng, piece.size, solid=item.make is not rug)
        if spot is not None:
            collector.place(piece, (spot.x, spot.y, 0.0), spot.yaw)


def _add_people(rng: np.random.Generator, plan: FloorPlan, collector: Collector) -> dict[int, int]:
    """Seat, lay or stand up to four people where the furniture offers it; some just walk."""
    used_by: dict[int, int] = {}
    if rng.random() > _PEOPLE_CHANCE:
        return used_by
    anchors = list(collector.anchors)
    for _ in range(1 + rng.binomial(3, 0.3)):
        if anchors and rng.random() < 0.88:
            place = anchors.pop(int(rng.integers(len(anchors))))
            anchor, used = place.anchor, place.instance
            # Whoever lies on a bed leaves no room to sit on it.
            anchors = [
                other for other in anchors if other.instance != used or other.anchor.pose == anchor.pose == "sit"
            ]
        else:
            x, y = rng.uniform(0.2, 0.8) * plan.width, rng.uniform(0.2, 0.8) * plan.depth
            anchor, used = Anchor("walk", x, y, 0.0, rng.uniform(0, 2 * math.pi)), -1
        if anchor.pose in ("stand", "walk"):
            area = Rectangle(anchor.x - 0.22, anchor.y - 0.22, anchor.x + 0.22, anchor.y + 0.22)
            if not plan.is_free(area, 0.0):
                continue
            plan.rectangles.append(area)
        z = anchor.z if anchor.pose == "lie" else 0.0
        instance = collector.place(person(rng, anchor.pose, anchor.z), (anchor.x, anchor.y, z), anchor.yaw)
        used_by[instance] = used
    return used_by


def _add_decoration(rng: np.random.Generator, style: Style, plan: FloorPlan, collector: Collector) -> None:
    for _ in range(rng.integers(0, 5)):
        piece = picture(rng, style)
        bottom = rng.uniform(1.25, 1.5)
        spot = plan.try_wall_piece(rng, piece.size[0], bottom, bottom + piece.size[2])
        if spot is not None:
            collector.place(piece, (spot.x, spot.y, bottom), spot.yaw)
