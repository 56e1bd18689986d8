"""The scene as arrays: every part of every placed compound, one row each."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from atrcnas.data.rooms.classes import SHELL, Semseg
from atrcnas.data.rooms.parts import Anchor, Compound, Vector

# Column of each quantity in a row; materials take the last ten.
_COLUMNS = 23


class PlacedAnchor(NamedTuple):
    """An anchor in room coordinates, with the instance that offers it."""

    anchor: Anchor
    instance: int
    label: Semseg


@dataclass(frozen=True)
class Primitives:
    """All solids of a scene, sorted by shape; N rows.

    Attributes:
        shape: [N] int64, a ``Shape``.
        centre: [N, 3] float32, metres, room frame.
        to_local: [N, 3, 3] float32, room frame to the unit frame of the solid.
        extent: [N, 3, 3] float32, rows are the half axes of the bounding box in the room frame, metres.
        core: [N] float32, half length of a capsule in units of its cap.
        half: [N, 3] float32, metres.
        instance: [N] int64, index into ``Collector.labels``.
        human_part: [N] int64.
        casts: [N] bool, whether it throws a shadow.
        material: [N, 10] float32: colour, second colour, pattern, period, grain, emission.
    """

    shape: np.ndarray
    centre: np.ndarray
    to_local: np.ndarray
    extent: np.ndarray
    core: np.ndarray
    half: np.ndarray
    instance: np.ndarray
    human_part: np.ndarray
    casts: np.ndarray
    material: np.ndarray

    @classmethod
    def from_rows(cls, rows: list[tuple[float, ...]]) -> "Primitives":
        """Build the arrays from rows as ``Collector`` writes them."""
        table = np.asarray(rows, dtype=np.float32).reshape(-1, _COLUMNS)
        table = table[np.argsort(table[:, 0], kind="stable")]
        rotation = _rotations(table[:, 7], table[:, 8])
        half, core = table[:, 4:7], table[:, 9]
        reach = half.copy()
        reach[:, 2] *= 1 + core
        return cls(
            shape=table[:, 0].astype(np.int64),
            centre=np.ascontiguousarray(table[:, 1:4]),
            to_local=rotation.transpose(0, 2, 1) / half[:, :, None],
            extent=rotation.transpose(0, 2, 1) * reach[:, :, None],
            core=core.copy(),
            half=half.copy(),
            instance=table[:, 10].astype(np.int64),
            human_part=table[:, 11].astype(np.int64),
            casts=table[:, 12] > 0,
            material=np.ascontiguousarray(table[:, 13:]),
        )


def _rotations(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Matrices of a turn by ``tilt`` about x followed by ``yaw`` about z, [N, 3, 3] float32."""
    cos_yaw, sin_yaw, cos_tilt, sin_tilt = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    zero = np.zeros_like(yaw)
    entries = [cos_yaw, -sin_yaw * cos_tilt, sin_yaw * sin_tilt, sin_yaw, cos_yaw * cos_tilt, -cos_yaw * sin_tilt]
    return np.stack([*entries, zero, sin_tilt, cos_tilt], axis=-1).reshape(-1, 3, 3)


@dataclass
class Collector:
    """Gathers placed compounds. Instances 0, 1, 2 are the wall, the floor and the ceiling."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    labels: list[Semseg] = field(default_factory=lambda: list(SHELL))
    anchors: list[PlacedAnchor] = field(default_factory=list)

    def place(self, compound: Compound, position: Vector, yaw: float) -> int:
        """Add a compound and its children at ``position`` (metres), turned by ``yaw`` radians; returns its instance."""
        cos, sin = math.cos(yaw), math.sin(yaw)

        def moved(x: float, y: float, z: float) -> Vector:
            return x * cos - y * sin + position[0], x * sin + y * cos + position[1], z + position[2]

        if compound.parts:
            instance = len(self.labels)
            self.labels.append(compound.label)
        else:
            # A group has no body of its own: nothing may refer to an instance that no pixel can show.
            instance = -1
        for part in compound.parts:
            turn = (part.yaw + yaw, part.tilt, part.core, instance, part.human_part, compound.casts_shadow)
            look = part.material
            surface = (*look.colour, *look.second, look.pattern, look.period_m, look.grain, look.emission)
            self.rows.append((part.shape, *moved(*part.centre), *part.half, *turn, *surface))
        for anchor in compound.anchors:
            x, y, z = moved(anchor.x, anchor.y, anchor.z)
            self.anchors.append(PlacedAnchor(Anchor(anchor.pose, x, y, z, anchor.yaw + yaw), instance, compound.label))
        for child, offset, child_yaw in compound.children:
            self.place(child, moved(*offset), yaw + child_yaw)
        return instance
