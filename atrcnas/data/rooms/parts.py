"""Parts and compounds: the vocabulary in which furniture and people are written down.

A compound's own frame has x to the right, y to the back (towards the wall it stands against) and z up, in metres, with
the origin on the floor under its middle. It faces -y.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from atrcnas.data.rooms.classes import HumanPart, Semseg

Vector = tuple[float, float, float]


class Shape(IntEnum):
    """Solids the ray caster knows, each the unit solid of its frame scaled by the part's half size."""

    BOX = 0
    ELLIPSOID = 1
    CYLINDER = 2
    CAPSULE = 3


class Pattern(IntEnum):
    """Procedural textures; see ``textures``."""

    PLAIN = 0
    STRIPES = 1
    PLANKS = 2
    TILES = 3
    CHECKER = 4
    SPECKLE = 5
    BOOKS = 6
    GRADIENT = 7
    BLOCKS = 8


class Material(NamedTuple):
    """Look of a surface: linear RGB in [0, 1], a second colour for the pattern, its period in metres, own light."""

    colour: Vector
    second: Vector = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    period_m: float = 1.0
    grain: float = 0.1
    emission: float = 0.0


class Part(NamedTuple):
    """One solid. ``half`` holds half sizes in metres; ``core`` is a capsule's half length over ``half[2]``."""

    shape: Shape
    centre: Vector
    half: Vector
    material: Material
    yaw: float = 0.0
    tilt: float = 0.0
    core: float = 0.0
    human_part: HumanPart = HumanPart.BACKGROUND


class Anchor(NamedTuple):
    """A place where a person can use a compound: ``pose`` is sit, lie or stand; ``z`` is the height of the support."""

    pose: str
    x: float
    y: float
    z: float
    yaw: float


@dataclass
class Compound:
    """Parts that share a label and an instance, with the compounds that stand on it or belong to it."""

    label: Semseg
    size: Vector
    parts: list[Part] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    children: list[tuple["Compound", Vector, float]] = field(default_factory=list)
    casts_shadow: bool = True

    def box(self, centre: Vector, size: Vector, material: Material, tilt: float = 0.0) -> None:
        """Add a box of full ``size``, turned by ``tilt`` radians about its x axis."""
        self.parts.append(Part(Shape.BOX, centre, (size[0] / 2, size[1] / 2, size[2] / 2), material, tilt=tilt))

    def cylinder(self, centre: Vector, radius: float, height: float, material: Material) -> None:
        """Add an upright cylinder."""
        self.parts.append(Part(Shape.CYLINDER, centre, (radius, radius, height / 2), material))

    def ellipsoid(
        self, centre: Vector, half: Vector, material: Material, part: HumanPart = HumanPart.BACKGROUND
    ) -> None:
        """Add an ellipsoid with axes along the compound's."""
        self.parts.append(Part(Shape.ELLIPSOID, centre, half, material, human_part=part))

    def capsule(
        self,
        start: Vector,
        end: Vector,
        radii: tuple[float, float],
        material: Material,
        part: HumanPart = HumanPart.BACKGROUND,
    ) -> None:
        """Add a capsule between two points; ``radii`` are its half widths along its own x and y axis."""
        dx, dy, dz = (end[axis] - start[axis] for axis in range(3))
        # Keeping the yaw within a quarter turn keeps the wide axis of a torso across the body.
        lean = math.copysign(math.hypot(dx, dy), -dy)
        yaw = math.atan2(dx / lean, -dy / lean) if abs(lean) > 1e-6 else 0.0
        centre = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
        cap = min(radii)
        core = math.sqrt(dx * dx + dy * dy + dz * dz) / 2 / cap
        half = (radii[0], radii[1], cap)
        self.parts.append(Part(Shape.CAPSULE, centre, half, material, yaw, math.atan2(lean, dz), core, part))

    def put(self, child: "Compound", x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> None:
        """Place another compound in this one's frame."""
        self.children.append((child, (x, y, z), yaw))
