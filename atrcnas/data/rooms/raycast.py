"""Ray casting of the camera's pixels against the room shell and the solids inside their screen rectangles."""

from dataclasses import dataclass

import numpy as np

from atrcnas.data.rooms.camera import Camera
from atrcnas.data.rooms.intersect import enter
from atrcnas.data.rooms.parts import Shape
from atrcnas.data.rooms.primitives import Primitives

_NEAR_M = 0.05
_PARALLEL = np.float32(1e-7)
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)


@dataclass(frozen=True)
class Surface:
    """What every pixel sees, P = H*W.

    Attributes:
        depth: [P] float32, metres along the optical axis.
        primitive: [P] int64, row of the solid, -1 for the room shell.
        face: [P] int64 in [0, 6), the flat or smooth side of the solid; for the shell 2*axis + (1 on the far side).
        point: [3, P] float32, metres, room frame.
        normal: [3, P] float32, unit, room frame, towards the camera.
        local: [3, P] float32, metres, in the frame of the solid; the room frame for the shell.
    """

    depth: np.ndarray
    primitive: np.ndarray
    face: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    local: np.ndarray


def screen_boxes(primitives: Primitives, camera: Camera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the solids that may be seen and the pixel rectangles they may cover.

    Returns:
        [M] int64 rows of the solids, and [M, 4] int64 rectangles (left, top, right, bottom), ends excluded.
    """
    corners = primitives.centre[:, None] + _SIGNS @ primitives.extent
    x, y, z = np.moveaxis((corners - camera.position) @ camera.axes.T, -1, 0)
    focal = camera.focal_px(height, width)
    slope_x, slope_y = width / 2 / focal, height / 2 / focal
    outside = [z < _NEAR_M, x > slope_x * z, -x > slope_x * z, y > slope_y * z, -y > slope_y * z]
    rows = np.flatnonzero(~np.logical_or.reduce([side.all(axis=1) for side in outside]))
    x, y, z = x[rows], y[rows], z[rows]
    behind = (z < _NEAR_M).any(axis=1)
    z = np.maximum(z, _NEAR_M)
    columns, lines = x / z * focal + width / 2, y / z * focal + height / 2
    low = np.floor(np.stack([columns.min(1), lines.min(1)], 1) - 0.5)
    high = np.ceil(np.stack([columns.max(1), lines.max(1)], 1) + 0.5)
    # A solid that reaches behind the camera has no finite outline: test the whole image.
    low[behind], high[behind] = 0, (width, height)
    boxes = np.concatenate([np.maximum(low, 0), np.minimum(high, (width, height))], 1).astype(np.int64)
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return rows[seen], boxes[seen]


def _pixels_of(boxes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """List the pixels of each rectangle one after the other: flat indices and the counts."""
    widths = boxes[:, 2] - boxes[:, 0]
    counts = widths * (boxes[:, 3] - boxes[:, 1])
    # One entry per pixel line of a rectangle, then one per pixel: no division per pixel.
    heights = boxes[:, 3] - boxes[:, 1]
    line = np.arange(heights.sum()) - np.repeat(np.cumsum(heights) - heights, heights)
    first = (line + np.repeat(boxes[:, 1], heights)) * width + np.repeat(boxes[:, 0], heights)
    lengths = np.repeat(widths, heights)
    pixels = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    return pixels, counts


def cast(primitives: Primitives, room_size: np.ndarray, camera: Camera, height: int, width: int) -> Surface:
    """Find the nearest surface behind every pixel.

    Args:
        primitives: the solids.
        room_size: [3] float32, metres; the shell is the box from the origin to it and encloses the camera.
        camera: where the rays start.
        height: H, pixels.
        width: W, pixels.
    """
    rays = camera.rays(height, width)
    world_rays = camera.axes.T @ rays
    depth, wall_axis = _shell_depth(room_size, camera, world_rays)
    primitive = np.full(height * width, -1, dtype=np.int64)
    rows, boxes = screen_boxes(primitives, camera, height, width)
    pixels, counts = _pixels_of(boxes, width)
    matrix = primitives.to_local[rows]
    origin = (matrix @ (camera.position - primitives.centre[rows])[:, :, None])[:, :, 0]
    turn = np.repeat((matrix @ camera.axes.T).reshape(-1, 9).T, counts, axis=1)
    x, y = rays[0][pixels], rays[1][pixels]
    local_rays = turn[0::3] * x + turn[1::3] * y + turn[2::3]
    t = enter(
        primitives.shape[rows],
        counts,
        np.repeat(origin.T, counts, axis=1),
        local_rays,
        np.repeat(primitives.core[rows], counts),
    )
    hit = np.flatnonzero((t > _NEAR_M) & (t < depth[pixels]))
    pixels, t = pixels[hit], t[hit]
    np.minimum.at(depth, pixels, t)
    nearest = t == depth[pixels]
    primitive[pixels[nearest]] = np.repeat(rows, counts)[hit[nearest]]
    return _surface(primitives, camera, world_rays, depth, primitive, wall_axis)


def _shell_depth(room_size: np.ndarray, camera: Camera, world_rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    origin = camera.position[:, None]
    # A ray exactly along a wall would divide by zero; bent by a hair it meets that wall infinitely far away.
    world_rays = np.where(np.abs(world_rays) < _PARALLEL, _PARALLEL, world_rays)
    exits = (np.where(world_rays > 0, room_size[:, None], np.float32(0)) - origin) / world_rays
    axis = np.argmin(exits, axis=0)
    return exits.min(axis=0), axis


def _surface(
    primitives: Primitives,
    camera: Camera,
    world_rays: np.ndarray,
    depth: np.ndarray,
    primitive: np.ndarray,
    wall_axis: np.ndarray,
) -> Surface:
    point = camera.position[:, None] + depth * world_rays
    pixels = np.arange(depth.size)
    # The wall that is hit lies on the side to which the ray goes, never along it.
    far_side = world_rays[wall_axis, pixels] > 0
    face = 2 * wall_axis + far_side
    normal = np.zeros_like(point)
    normal[wall_axis, pixels] = np.where(far_side, -1, 1)
    local = point.copy()
    solid = np.flatnonzero(primitive >= 0)
    rows = primitive[solid]
    matrix = np.take(primitives.to_local.reshape(-1, 9).T, rows, axis=1).reshape(3, 3, -1)
    offset = point[:, solid] - primitives.centre.T[:, rows]
    unit = np.einsum("ijn,jn->in", matrix, offset)
    gradient, face[solid] = _unit_normals(primitives.shape[rows], primitives.core[rows], unit)
    outward = np.einsum("ijn,in->jn", matrix, gradient)
    normal[:, solid] = outward / np.sqrt((outward * outward).sum(axis=0))
    local[:, solid] = unit * primitives.half.T[:, rows]
    return Surface(depth, primitive, face, point, normal, local)


def _unit_normals(shape: np.ndarray, core: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the unit solids at points on them, [3, n], and the face each point lies on, [n]."""
    gradient = unit.copy()
    gradient[2] -= np.clip(unit[2], -core, core)
    face = np.zeros(shape.size, dtype=np.int64)
    size = np.abs(unit)
    axis = np.argmax(size, axis=0)
    cap = size[2] * size[2] > unit[0] * unit[0] + unit[1] * unit[1]
    round_side = (shape == Shape.CYLINDER) & ~cap
    gradient[2, round_side] = 0
    flat = np.flatnonzero((shape == Shape.BOX) | ((shape == Shape.CYLINDER) & cap))
    across = np.where(shape[flat] == Shape.BOX, axis[flat], 2)
    sign = np.sign(unit[across, flat])
    gradient[:, flat] = 0
    gradient[across, flat] = sign
    face[flat] = 2 * across + (sign > 0)
    return gradient, face
