"""Random changes of colour that leave the geometry alone, in the manner of the SSD detector's augmentation.

Not torchvision's functions: its saturation mixes with grey, where the published augmentation scales the S of HSV.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_BRIGHTNESS = 32.0
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
MAX_HUE_DEG = 36.0

Planes = npt.NDArray[np.float32]


def distort_colours(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue, each with probability one half.

    Brightness adds up to +-32; contrast multiplies by 0.5 .. 1.5, before or after the colour changes with equal
    probability; saturation multiplies by 0.5 .. 1.5; hue turns by up to +-36 degrees. Each change ends within 0 .. 255.

    Args:
        image: [H, W, 3] uint8 RGB.
        rng: source of all draws.

    Returns:
        [H, W, 3] uint8 RGB.

    Source: the published training code, whose hue is +-18 in OpenCV's units of 2 degrees. Differs: rounded once at the
    end, not truncated after every change; the hue turns by any angle, not by steps of 2 degrees.
    """
    brightness = rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(*CONTRAST) if rng.random() < 0.5 else 1.0
    contrast_first = rng.random() < 0.5
    saturation = rng.uniform(*SATURATION) if rng.random() < 0.5 else 1.0
    hue_deg = rng.uniform(-MAX_HUE_DEG, MAX_HUE_DEG) if rng.random() < 0.5 else 0.0

    planes = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    planes += brightness
    np.clip(planes, 0.0, 255.0, out=planes)
    if contrast_first:
        planes *= contrast
        np.clip(planes, 0.0, 255.0, out=planes)
    if saturation != 1.0 or hue_deg != 0.0:
        planes = shift_hsv(planes, saturation, hue_deg)
    if not contrast_first:
        planes *= contrast
        np.clip(planes, 0.0, 255.0, out=planes)
    np.rint(planes, out=planes)
    return np.ascontiguousarray(planes.astype(np.uint8).transpose(1, 2, 0))


def shift_hsv(planes: Planes, saturation: float, hue_deg: float) -> Planes:
    """Multiply the saturation and turn the hue of the HSV colour cone.

    Args:
        planes: [3, H, W] float32 RGB in [0, 255].
        saturation: factor >= 0; the result is limited to full saturation.
        hue_deg: degrees, in [-360, 360].

    Returns:
        [3, H, W] float32 RGB in [0, 255], a new array.
    """
    red, green, blue = planes
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    hue = _hue_sextants(planes, value, chroma)
    hue += np.float32(hue_deg / 60.0 + 6.0)
    # Saturation is chroma / value, so scaling the chroma and capping it at the value scales the saturation.
    chroma *= np.float32(saturation)
    np.minimum(chroma, value, out=chroma)
    shifted = np.empty_like(planes)
    for channel, start in enumerate((5.0, 3.0, 1.0)):
        ramp = hue + np.float32(start)
        # fmod by way of floor is several times faster than np.mod here.
        ramp -= np.float32(6.0) * np.floor(ramp * np.float32(1.0 / 6.0))
        np.minimum(ramp, np.float32(4.0) - ramp, out=ramp)
        np.clip(ramp, 0.0, 1.0, out=ramp)
        np.subtract(value, chroma * ramp, out=shifted[channel])
    return shifted


def _hue_sextants(planes: Planes, value: Planes, chroma: Planes) -> Planes:
    """Hue in units of 60 degrees, [-1, 5]; 0 for greys. Inputs and result are [H, W] but ``planes`` [3, H, W]."""
    red, green, blue = planes
    scale = np.float32(1.0) / np.maximum(chroma, np.float32(1e-6))
    from_blue = (red - green) * scale + np.float32(4.0)
    from_green = (blue - red) * scale + np.float32(2.0)
    from_red = (green - blue) * scale
    hue: Planes = np.where(value == red, from_red, np.where(value == green, from_green, from_blue))
    return hue
