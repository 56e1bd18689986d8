"""Ground-truth files to values and valid masks: the only place where a data set's sentinel values are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.rasters import MAX_PIXELS, read_array, read_image
from atrcnas.ground.errors import DataError

__all__ = [
    "decode_classes",
    "decode_scalar",
    "decode_vector",
    "read_classes",
    "read_image",
    "read_scalar",
    "read_vector",
]

Mask = npt.NDArray[np.bool_]

# Shorter decoded 8-bit vectors are the zero vector up to rounding (mid grey is not exactly representable).
_MIN_LENGTH_8BIT = 0.1
_MIN_LENGTH = 1e-6


def read_classes(
    path: Path,
    *,
    num_classes: int,
    missing: float = 255,
    scale: float = 1.0,
    shift: int = 0,
    max_pixels: int = MAX_PIXELS,
    way_out: str = "Correct the file.",
) -> tuple[npt.NDArray[np.int64], Mask]:
    """Read a class map; :func:`read_array` followed by :func:`decode_classes`, whose arguments these are."""
    raw = read_array(path, max_pixels, indexed=True)
    return decode_classes(
        raw, path, num_classes=num_classes, missing=missing, scale=scale, shift=shift, way_out=way_out
    )


def read_scalar(
    path: Path,
    *,
    missing: float = 0.0,
    scale: float = 1.0,
    offset: float = 0.0,
    positive: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Read a map of one real value; :func:`read_array` followed by :func:`decode_scalar`, whose arguments these are."""
    raw = read_array(path, max_pixels)
    return decode_scalar(raw, path, missing=missing, scale=scale, offset=offset, positive=positive)


def read_vector(
    path: Path, *, missing: float = 0.0, unit: bool = True, max_pixels: int = MAX_PIXELS
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Read a map of unit vectors; :func:`read_array` followed by :func:`decode_vector`, whose arguments these are."""
    return decode_vector(read_array(path, max_pixels), path, missing=missing, unit=unit)


def decode_classes(
    raw: npt.NDArray[Any],
    where: Path,
    *,
    num_classes: int,
    missing: float = 255,
    scale: float = 1.0,
    shift: int = 0,
    way_out: str = "Correct the file.",
) -> tuple[npt.NDArray[np.int64], Mask]:
    """Turn stored numbers into classes: class = round(number * scale) + shift.

    Args:
        raw: [H, W] bool, integer or float, whole numbers unless ``scale`` is set.
        where: file, for messages.
        num_classes: K >= 1.
        missing: stored number of a pixel without ground truth; non-finite numbers are missing too.
        scale: factor, e.g. 1/255 for masks of 0 and 255 (then set ``missing`` to -1).
        shift: added after ``missing`` is taken out, e.g. -1 where 0 means missing.
        way_out: last sentence of the message about a class out of range.

    Returns:
        [H, W] int64 in [0, K), 0 where missing; [H, W] bool, True where ground truth exists.

    Raises:
        DataError: not [H, W], not whole numbers, or a class outside [0, K).
    """
    if raw.ndim != 2:
        raise DataError(
            f"{where}: expected one class number per pixel, got {raw.shape[2]} channels. "
            "Save class numbers as a greyscale or palette PNG, or as an [H, W] array; of your own data, colours are read "
            "with data.options.values.TASK.colours."
        )
    valid = np.asarray(raw != missing)
    values = raw
    if raw.dtype.kind == "f" or scale != 1.0:
        valid &= np.isfinite(raw)
        scaled = np.where(valid, raw, 0.0) * scale
        values = np.rint(scaled)
        if scale == 1.0 and not np.array_equal(values, scaled):
            got = float(scaled[values != scaled][0])
            raise DataError(f"{where}: expected whole class numbers, got {got:g}. Save class numbers, not scores.")
    _require_range(values, valid, where, (-shift, num_classes - shift), way_out)
    classes = values.astype(np.int64)
    classes += shift
    classes[~valid] = 0
    return classes, valid


def decode_scalar(
    raw: npt.NDArray[Any],
    where: Path,
    *,
    missing: float = 0.0,
    scale: float = 1.0,
    offset: float = 0.0,
    positive: bool = False,
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Turn stored numbers into real values: value = number * scale + offset.

    Args:
        raw: [H, W] integer or float.
        where: file, for messages.
        missing: stored number of a pixel without ground truth; non-finite numbers are missing too.
        scale: e.g. 0.001 for depth stored in millimetres.
        offset: in the unit of the value.
        positive: True if values <= 0 are impossible (a distance) and so count as missing.

    Returns:
        [H, W] float32, 0 where missing; [H, W] bool, True where ground truth exists.

    Raises:
        DataError: not [H, W].
    """
    if raw.ndim != 2:
        raise DataError(
            f"{where}: expected one value per pixel, got {raw.shape[2]} channels (a coloured rendering?). "
            "Save the values as a 16-bit greyscale PNG or an [H, W] array."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        values = (raw.astype(np.float64) * scale + offset).astype(np.float32)
    valid = np.asarray(raw != missing) & np.isfinite(values)
    if positive:
        valid &= values > 0
    values[~valid] = 0.0
    return values, valid


def decode_vector(
    raw: npt.NDArray[Any], where: Path, *, missing: float = 0.0, unit: bool = True
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Turn stored numbers into unit vectors.

    Args:
        raw: [H, W, 3] float of any length, or uint8 that encodes v = 2p/255 - 1.
        where: file, for messages.
        missing: a pixel whose three stored numbers all equal this has no ground truth, nor has one with the zero vector
            or a non-finite one.
        unit: bring the vectors to unit length; otherwise they keep their own, which 8-bit rounding changes by up to 1 %.

    Returns:
        [H, W, 3] float32 of unit length (or their own), 0 where missing; [H, W] bool, True where ground truth exists.

    Raises:
        DataError: not [H, W, 3], or neither uint8 nor float.
    """
    if raw.ndim != 3 or raw.shape[2] != 3:
        raise DataError(
            f"{where}: expected three values per pixel, got shape {list(raw.shape)}. "
            "Save the vectors as an 8-bit RGB PNG or an [H, W, 3] float array."
        )
    if raw.dtype.kind != "f" and raw.dtype != np.uint8:
        raise DataError(f"{where}: expected uint8 or float vectors, got {raw.dtype}. Save them as float32.")
    coded = raw.dtype == np.uint8
    values = raw.astype(np.float32)
    valid = (raw != missing).any(axis=2)
    if coded:
        values *= 2.0 / 255.0
        values -= 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("hwc,hwc->hw", values, values))
    valid &= np.isfinite(length) & (length > (_MIN_LENGTH_8BIT if coded else _MIN_LENGTH))
    values[~valid] = 0.0
    if unit:
        values /= np.where(valid, length, 1.0)[..., None]
    return values, valid


def _require_range(values: npt.NDArray[Any], valid: Mask, where: Path, limits: tuple[int, int], way_out: str) -> None:
    """Refuse stored class numbers outside [limits[0], limits[1])."""
    low, high = limits
    wrong = valid & ((values < low) | (values >= high))
    if not wrong.any():
        return
    kinds = np.unique(values[wrong])
    listed = ", ".join(f"{kind:g}" for kind in kinds[:5].astype(float)) + (", ..." if kinds.size > 5 else "")
    row, column = np.argwhere(wrong)[0]
    raise DataError(
        f"{where}: expected class numbers {low}..{high - 1}, got {listed} "
        f"({int(wrong.sum())} pixels, the first at row {row}, column {column}). {way_out}"
    )
