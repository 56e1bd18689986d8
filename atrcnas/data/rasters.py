"""Files to raw arrays: opens image and .npy files without trusting them."""

from __future__ import annotations

import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from atrcnas.ground.errors import DataError
from atrcnas.ground.opening import open_regular, require_regular

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
EXACT_SUFFIXES, LOSSY_SUFFIXES = (".png", ".npy"), (".jpg", ".jpeg")
TARGET_SUFFIXES = (".png", ".jpg", ".jpeg", ".npy")
NOT_EXACT = "JPEG keeps numbers only roughly and so changes classes, most of all along their borders"
MAX_PIXELS = 50_000_000
MAX_FILE_BYTES = 32 * MAX_PIXELS  # four channels of eight bytes

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
# Pillow stretches 2- and 4-bit grey to 0..255; a label file of that kind holds the unstretched numbers.
_PACKED_GREY = {"L;2": 85, "L;4": 17}
# What a decoder raises on bytes that are not what they claim to be.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
)


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a photograph of any colour mode, upright.

    Args:
        path: JPEG, PNG, WebP, BMP or TIFF; greyscale, palette, RGB(A), CMYK, 8 or 16 bit. EXIF rotation is applied,
            transparency dropped.
        max_pixels: refuse larger images before decoding them.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        DataError: missing, damaged, truncated, too large, or of an unsupported mode.
    """
    with _opened(path, max_pixels) as image:
        orientation = _orientation(image)
        image.load()
        rgb = _to_rgb(image, path)
        if orientation in _EXIF_TRANSPOSES:
            rgb = rgb.transpose(_EXIF_TRANSPOSES[orientation])
        return np.array(rgb)


def read_array(
    path: Path, max_pixels: int = MAX_PIXELS, *, indexed: bool = False, exact: bool = False
) -> npt.NDArray[Any]:
    """Read the numbers of a target file as they are stored, without interpreting them.

    A target belongs to the upright image. One that declares a rotation of its own by EXIF is refused: viewers and
    libraries disagree on it, and turned normals would have to change their values too.

    Args:
        path: .npy (never unpickled), PNG or JPEG.
        max_pixels: refuse larger files before decoding them.
        indexed: a palette image gives its indices if True, its colours if False.
        exact: refuse JPEG, whatever the file is called.

    Returns:
        [H, W] or [H, W, C], bool, integer or float.

    Raises:
        DataError: missing, damaged, truncated, too large, with an EXIF rotation, or not an array of numbers of that
            shape.
    """
    if path.suffix.lower() == ".npy":
        return np.array(_map_npy(path, max_pixels))
    with _opened(path, max_pixels) as image:
        if exact and image.format == "JPEG":
            raise DataError(f"{path}: expected exact class numbers, got JPEG. {NOT_EXACT}. Save the original as PNG.")
        orientation = _orientation(image)
        if orientation in _EXIF_TRANSPOSES:
            raise DataError(
                f"{path}: expected a target stored upright, got EXIF orientation {orientation}. "
                "Turn its pixels to fit the upright image, and save it without EXIF."
            )
        stretch = _stretch(image)
        image.load()
        if image.mode == "P" and not indexed:
            return np.array(_to_rgb(image, path))
        array: npt.NDArray[Any] = np.array(image)
        return array // stretch if stretch > 1 else array


def read_size(path: Path, max_pixels: int = MAX_PIXELS, *, upright: bool = False) -> tuple[int, int]:
    """Read height and width from the header alone.

    Args:
        path: any file :func:`read_image` or :func:`read_array` reads.
        max_pixels: as there.
        upright: True for the size after EXIF rotation, as :func:`read_image` gives it.

    Returns:
        (height, width), pixels.

    Raises:
        DataError: missing, header damaged, or too large.
    """
    if path.suffix.lower() == ".npy":
        height, width = _map_npy(path, max_pixels).shape[:2]
        return int(height), int(width)
    with _opened(path, max_pixels) as image:
        if upright and _orientation(image) in _SWAPS_SIDES:
            return image.width, image.height
        return image.height, image.width


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """An image with only its header read; whatever decoding raises inside the block becomes a DataError."""
    try:
        with open_regular(path, MAX_FILE_BYTES) as stream, Image.open(stream, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise DataError(_too_large(path, f"{image.height} x {image.width}", max_pixels))
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(path, "far more", max_pixels)) from error
    except _DECODER_ERRORS as error:
        raise DataError(_unreadable(path, "image", error)) from error


def _map_npy(path: Path, max_pixels: int) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped: a header that promises more than the file holds allocates nothing."""
    try:
        require_regular(path, MAX_FILE_BYTES)
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except _DECODER_ERRORS as error:
        raise DataError(_unreadable(path, ".npy file of plain numbers", error)) from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DataError(
            f"{path}: expected whole or real numbers, got dtype {array.dtype}. Save it as an integer or float array."
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4):
        raise DataError(f"{path}: expected shape [H, W] or [H, W, 3], got {list(array.shape)}. Save it in that layout.")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise DataError(_too_large(path, f"{array.shape[0]} x {array.shape[1]}", max_pixels))
    return array


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8 of an opened image; 1 (upright) if it has none or the EXIF block is damaged."""
    # Pillow would decode the whole of such a PNG to look for EXIF after the pixels.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DECODER_ERRORS:
        return 1


def _stretch(image: Image.Image) -> int:
    """Factor by which Pillow multiplies the stored numbers of an opened image."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return _PACKED_GREY.get(str(tiles[0][3]), 1) if tiles else 1


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 instead of scaling it.
        grey = np.clip(np.asarray(image, dtype=np.float32) / 257.0, 0, 255)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise DataError(f"{path}: expected 8- or 16-bit colours, got floating point. Save it as an 8-bit image.")
    # By way of RGBA, since Pillow warns about a palette with transparency that goes straight to RGB.
    return image.convert("RGBA").convert("RGB") if image.mode in ("P", "PA") else image.convert("RGB")


def _too_large(path: Path, got: str, max_pixels: int) -> str:
    return f"{path}: expected at most {max_pixels} pixels, got {got}. Reduce the file or raise max_pixels."


def _unreadable(path: Path, noun: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        reason = "the content is not JPEG, PNG, WebP, BMP or TIFF"
    elif isinstance(error, MemoryError):
        return (
            f"{path}: too little memory to read it. Free some, or set data.workers lower; then continue with --resume."
        )
    else:
        system = error.strerror if isinstance(error, OSError) else None
        reason = (system or str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return f"{path}: expected a readable {noun}, got an error ({reason}). Replace the file with an intact copy."
