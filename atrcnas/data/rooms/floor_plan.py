"""Where things may stand: a floor plan of rectangles and the spans that are taken on the four walls."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

# Walls in order: y = 0, x = width, y = depth, x = 0. The turn brings a compound's back (+y) to the wall.
_TURNS = (math.pi, -math.pi / 2, 0.0, math.pi / 2)


class Rectangle(NamedTuple):
    """A footprint in metres."""

    left: float
    front: float
    right: float
    back: float


class Span(NamedTuple):
    """A stretch of a wall: along it, and in height, metres."""

    start: float
    stop: float
    bottom: float
    top: float


class Spot(NamedTuple):
    """A pose on the floor: metres and radians; ``wall`` is -1 for things that stand free."""

    x: float
    y: float
    yaw: float
    wall: int


@dataclass
class FloorPlan:
    """A room of ``width`` x ``depth`` x ``height`` metres and what is already in it."""

    width: float
    depth: float
    height: float
    rectangles: list[Rectangle] = field(default_factory=list)
    spans: list[list[Span]] = field(default_factory=lambda: [[], [], [], []])

    def is_free(self, area: Rectangle, clearance: float = 0.03) -> bool:
        """Whether the footprint lies in the room and keeps ``clearance`` metres from all others."""
        inside = area.left >= 0 and area.front >= 0 and area.right <= self.width and area.back <= self.depth
        return inside and not any(
            area.left < other.right + clearance
            and other.left < area.right + clearance
            and area.front < other.back + clearance
            and other.front < area.back + clearance
            for other in self.rectangles
        )

    def try_wall_piece(self, rng: np.random.Generator, width: float, bottom: float, top: float) -> Spot | None:
        """Find room for a flat piece on a wall and take it; ``bottom`` and ``top`` in metres above the floor."""
        for _ in range(6):
            wall = int(rng.integers(4))
            length = self._length(wall)
            if width + 0.3 > length:
                continue
            middle = rng.uniform(width / 2 + 0.15, length - width / 2 - 0.15)
            span = Span(middle - width / 2, middle + width / 2, bottom, top)
            if self._wall_is_free(wall, span):
                self.spans[wall].append(span)
                return self._spot(wall, middle, 0.0)
        return None

    def keep_clear(self, spot: Spot, width: float, reach: float) -> None:
        """Reserve the floor in front of a wall piece, as a door needs it."""
        self.rectangles.append(self._footprint(self._spot(spot.wall, self._along(spot), reach / 2), width, reach))

    def try_at_wall(self, rng: np.random.Generator, size: tuple[float, float, float]) -> Spot | None:
        """Find room against a wall for something ``size`` = width, depth, height, and take it."""
        for _ in range(8):
            wall = int(rng.integers(4))
            length = self._length(wall)
            if size[0] + 0.04 > length:
                continue
            low, high = size[0] / 2 + 0.02, length - size[0] / 2 - 0.02
            # Corners are where furniture goes first.
            middle = (low, high, rng.uniform(low, high), rng.uniform(low, high))[rng.integers(4)]
            spot = self._spot(wall, middle, size[1] / 2 + rng.uniform(0.03, 0.06))
            span = Span(middle - size[0] / 2, middle + size[0] / 2, 0.0, size[2])
            area = self._footprint(spot, size[0], size[1])
            if self._wall_is_free(wall, span) and self.is_free(area):
                self.spans[wall].append(span)
                self.rectangles.append(area)
                return spot
        return None

    def try_free(self, rng: np.random.Generator, size: tuple[float, float, float], solid: bool = True) -> Spot | None:
        """Find room away from the walls; what is not ``solid`` (a rug) may lie under other things."""
        for _ in range(8):
            yaw = float(rng.integers(4)) * math.pi / 2 + (rng.uniform(-0.25, 0.25) if rng.random() < 0.4 else 0.0)
            spot = Spot(rng.uniform(0.25, 0.75) * self.width, rng.uniform(0.25, 0.75) * self.depth, yaw, -1)
            area = self._footprint(spot, size[0], size[1])
            if not solid:
                return spot
            if self.is_free(area, 0.15):
                self.rectangles.append(area)
                return spot
        return None

    def _length(self, wall: int) -> float:
        return self.depth if wall % 2 else self.width

    def _wall_is_free(self, wall: int, span: Span) -> bool:
        return not any(
            span.start < other.stop and other.start < span.stop and span.bottom < other.top and other.bottom < span.top
            for other in self.spans[wall]
        )

    def _spot(self, wall: int, along: float, off: float) -> Spot:
        x, y = ((along, off), (self.width - off, along), (along, self.depth - off), (off, along))[wall]
        return Spot(x, y, _TURNS[wall], wall)

    def _along(self, spot: Spot) -> float:
        return spot.y if spot.wall % 2 else spot.x

    def _footprint(self, spot: Spot, width: float, depth: float) -> Rectangle:
        cos, sin = abs(math.cos(spot.yaw)), abs(math.sin(spot.yaw))
        reach_x, reach_y = (width * cos + depth * sin) / 2, (width * sin + depth * cos) / 2
        return Rectangle(spot.x - reach_x, spot.y - reach_y, spot.x + reach_x, spot.y + reach_y)
