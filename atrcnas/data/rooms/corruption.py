"""What makes real labels worse than exact ones: annotators' errors, and sensors without an answer."""

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.textures import value_noise

_BAND_PX = 2
# What an annotator would plausibly write instead.
_CONFUSED = {
    Semseg.WALL: Semseg.PICTURE,
    Semseg.FLOOR: Semseg.FLOOR,
    Semseg.CEILING: Semseg.WALL,
    Semseg.DOOR: Semseg.CABINET,
    Semseg.WINDOW: Semseg.PICTURE,
    Semseg.BED: Semseg.SOFA,
    Semseg.SOFA: Semseg.BED,
    Semseg.TABLE: Semseg.CABINET,
    Semseg.CHAIR: Semseg.SOFA,
    Semseg.CABINET: Semseg.TABLE,
    Semseg.FIXTURE: Semseg.CABINET,
    Semseg.LAMP: Semseg.PROP,
    Semseg.PICTURE: Semseg.WINDOW,
    Semseg.PROP: Semseg.CABINET,
    Semseg.PERSON: Semseg.PROP,
}


def _blobs(rng: np.random.Generator, shape: tuple[int, int], size_px: float) -> np.ndarray:
    """Smooth noise in [0, 1) with features of about ``size_px``, [H, W] float32."""
    offset_x, offset_y = rng.uniform(0, 64, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / np.float32(size_px)
    return value_noise((x + offset_x).ravel(), (y + offset_y).ravel()).reshape(shape)


def corrupt_semseg(rng: np.random.Generator, semseg: np.ndarray, instance: np.ndarray, share: float) -> np.ndarray:
    """Mislabel regions and shift outlines.

    A share of the things gets a confusable class, and a share of the outlines, in stretches, moves by two pixels. The
    wall, the floor and the ceiling keep their class: only their outlines move.

    Args:
        rng: source of the errors.
        semseg: [H, W] int64, exact classes.
        instance: [H, W] int64.
        share: share of regions and of outlines that are wrong, [0, 0.5].

    Returns:
        [H, W] int64, a new array; equal to ``semseg`` for share 0.
    """
    wrong = rng.random(int(instance.max()) + 1) < share
    wrong[:3] = False
    confused = np.array([_CONFUSED[Semseg(value)] for value in range(len(Semseg))])
    noisy = np.where(wrong[instance], confused[semseg], semseg)
    blobs = _blobs(rng, semseg.shape, 6.0)
    moved = blobs <= np.quantile(blobs, share) if share > 0 else np.zeros(semseg.shape, dtype=bool)
    shift_y, shift_x = ((0, _BAND_PX), (0, -_BAND_PX), (_BAND_PX, 0), (-_BAND_PX, 0))[rng.integers(4)]
    lines = np.clip(np.arange(semseg.shape[0]) + shift_y, 0, semseg.shape[0] - 1)
    columns = np.clip(np.arange(semseg.shape[1]) + shift_x, 0, semseg.shape[1] - 1)
    return np.where(moved, noisy[np.ix_(lines, columns)], noisy)


def missing_depth(rng: np.random.Generator, depth: np.ndarray, facing: np.ndarray, share: float) -> np.ndarray:
    """Choose the pixels for which a depth sensor would have no answer: blobs, far and grazing surfaces first.

    Args:
        rng: source of the blobs.
        depth: [H, W] float32, metres.
        facing: [H, W] float32 in [0, 1], cosine between the view and the surface.
        share: share of missing pixels, [0, 0.9].

    Returns:
        [H, W] bool, True where depth is missing; its mean is ``share`` up to a pixel.
    """
    reluctance = _blobs(rng, depth.shape, 12.0) + 0.05 * depth + 0.5 * (1 - facing) ** 2
    missing = np.zeros(depth.size, dtype=bool)
    num_missing = round(share * depth.size)
    if num_missing:
        missing[np.argpartition(-reluctance.ravel(), num_missing - 1)[:num_missing]] = True
    return missing.reshape(depth.shape)
