"""The camera: where it stands in the room, where it looks, and the rays of its pixels."""

import math
from dataclasses import dataclass

import numpy as np

from atrcnas.data.rooms.parts import Vector


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: [3] float32, metres, room frame (z up).
        axes: [3, 3] float32, rows are right, down and forward in the room frame.
        tan_half_fov: tangent of half the angle of view along the longer image side.
    """

    position: np.ndarray
    axes: np.ndarray
    tan_half_fov: float

    @classmethod
    def aimed(cls, position: Vector, heading: float, pitch: float, roll: float, tan_half_fov: float) -> "Camera":
        """Build a camera from angles in radians: heading about z from +x, pitch upwards, roll about the view."""
        forward = np.array([math.cos(heading) * math.cos(pitch), math.sin(heading) * math.cos(pitch), math.sin(pitch)])
        level = np.array([math.sin(heading), -math.cos(heading), 0.0])
        below = np.cross(forward, level)
        right = math.cos(roll) * level + math.sin(roll) * below
        axes = np.stack([right, np.cross(forward, right), forward])
        return cls(np.asarray(position, np.float32), axes.astype(np.float32), tan_half_fov)

    def focal_px(self, height: int, width: int) -> float:
        """Focal length in pixels for an image of that size."""
        return max(height, width) / 2 / self.tan_half_fov

    def rays(self, height: int, width: int) -> np.ndarray:
        """Directions through the pixel centres in the camera frame, [3, H*W] float32 with z = 1.

        With z = 1 the ray parameter of a hit is its depth along the optical axis.
        """
        focal = self.focal_px(height, width)
        x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal
        y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / focal
        rays = np.ones((3, height, width), dtype=np.float32)
        rays[0], rays[1] = x, y[:, None]
        return rays.reshape(3, -1)
