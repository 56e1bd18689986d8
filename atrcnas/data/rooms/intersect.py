"""Where rays enter the unit solids. Components come first: o and d are [3, n] float32 in the solid's frame.

Each function returns [n] float32, the ray parameter of the entry, +inf where the ray misses. Quadrics are solved around
the point of closest approach, which keeps thin limbs far from the camera exact in float32.
"""

import numpy as np

from atrcnas.data.rooms.parts import Shape

_TINY = np.float32(1e-7)


def _enter_box(o: np.ndarray, d: np.ndarray, core: np.ndarray) -> np.ndarray:
    inverse = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
    middle = -o * inverse
    spread = np.abs(inverse)
    near = (middle - spread).max(axis=0)
    far = (middle + spread).min(axis=0)
    return np.where(near <= far, near, np.inf)


def _enter_ellipsoid(o: np.ndarray, d: np.ndarray, core: np.ndarray) -> np.ndarray:
    length = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    closest = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2]) / length
    q = o + closest * d
    inside = 1 - (q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    return np.where(inside > 0, closest - np.sqrt(np.maximum(inside, 0) / length), np.inf)


def _enter_tube(o: np.ndarray, d: np.ndarray, reach: np.ndarray | float) -> np.ndarray:
    """Entry into the cylinder of unit radius along z, cut at |z| = reach."""
    length = d[0] * d[0] + d[1] * d[1] + _TINY
    closest = -(o[0] * d[0] + o[1] * d[1]) / length
    qx, qy = o[0] + closest * d[0], o[1] + closest * d[1]
    inside = 1 - (qx * qx + qy * qy)
    chord = np.sqrt(np.maximum(inside, 0) / length)
    inverse = 1 / np.where(np.abs(d[2]) < _TINY, _TINY, d[2])
    middle, spread = -o[2] * inverse, reach * np.abs(inverse)
    near = np.maximum(closest - chord, middle - spread)
    far = np.minimum(closest + chord, middle + spread)
    return np.where((inside > 0) & (near <= far), near, np.inf)


def _enter_cylinder(o: np.ndarray, d: np.ndarray, core: np.ndarray) -> np.ndarray:
    return _enter_tube(o, d, 1.0)


def _enter_capsule(o: np.ndarray, d: np.ndarray, core: np.ndarray) -> np.ndarray:
    # The union of the three solids is convex, so that the first entry into any of them enters the whole.
    shift = np.zeros_like(o)
    shift[2] = core
    caps = np.minimum(_enter_ellipsoid(o - shift, d, core), _enter_ellipsoid(o + shift, d, core))
    return np.minimum(caps, _enter_tube(o, d, core))


_ENTRIES = {
    Shape.BOX: _enter_box,
    Shape.ELLIPSOID: _enter_ellipsoid,
    Shape.CYLINDER: _enter_cylinder,
    Shape.CAPSULE: _enter_capsule,
}


def enter(shape: np.ndarray, counts: np.ndarray, o: np.ndarray, d: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Entry parameter of rays grouped by solid, solids sorted by shape.

    Args:
        shape: [M] int64, non-decreasing, the shape of each solid.
        counts: [M] int64, how many consecutive rays belong to each.
        o: [3, n] float32 origins in the frame of the ray's solid, n the sum of counts.
        d: [3, n] float32 directions in the same frame.
        core: [n] float32.

    Returns:
        [n] float32, +inf where the ray misses.
    """
    t = np.empty(o.shape[1], dtype=np.float32)
    start = 0
    for kind, function in _ENTRIES.items():
        stop = start + int(counts[shape == kind].sum())
        if stop > start:
            t[start:stop] = function(o[:, start:stop], d[:, start:stop], core[start:stop])
        start = stop
    return t
