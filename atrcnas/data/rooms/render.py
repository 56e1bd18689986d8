"""From the scene to the photograph: light on the surfaces, exposure, lens and sensor."""

import numpy as np

from atrcnas.data.rooms.lights import Light
from atrcnas.data.rooms.raycast import Surface, cast
from atrcnas.data.rooms.scene import Scene
from atrcnas.data.rooms.shadows import visibility
from atrcnas.data.rooms.textures import albedo, material_of

_EMISSION = 9


def surface_ids(surface: Surface) -> np.ndarray:
    """A number for every smooth surface, equal where two pixels lie on the same one; [P] int64."""
    return (surface.primitive + 1) * 6 + surface.face


def _direct(surface: Surface, light: Light) -> np.ndarray:
    """Cosine and distance falloff of one light without shadows, [P] float32."""
    ray = np.array(light.position, np.float32)[:, None] - surface.point
    squared = (ray * ray).sum(axis=0)
    falloff = np.maximum((ray * surface.normal).sum(axis=0), 0) / (np.sqrt(squared) * (squared + 0.3))
    if any(light.facing):
        cosine = -(np.array(light.facing, np.float32)[:, None] * ray).sum(axis=0) / np.sqrt(squared)
        falloff *= np.clip(cosine + 0.1, 0, 1)
    return falloff


def _ambient(scene: Scene, surface: Surface) -> np.ndarray:
    """Light bounced off the room: less in corners and near the floor, more from above; [P] float32."""
    edge = np.minimum(surface.point, scene.size[:, None] - surface.point)
    nearest_two = edge.sum(axis=0) - edge.max(axis=0)
    corner = 1 - 0.4 * np.exp(-4 * nearest_two)
    low = 1 - 0.35 * np.exp(-6 * np.maximum(surface.point[2], 0)) * (surface.primitive >= 0)
    return corner * low * (0.85 + 0.15 * surface.normal[2])


def _smooth_lens(image: np.ndarray) -> np.ndarray:
    """Blur by a third of a pixel's neighbours, as lenses do; [3, H, W]."""
    for axis in (1, 2):
        inner = image.copy()
        low, middle, high = (
            tuple(slice(*cut) if a == axis else slice(None) for a in range(3)) for cut in ((0, -2), (1, -1), (2, None))
        )
        inner[middle] = 0.7 * image[middle] + 0.15 * (image[low] + image[high])
        image = inner
    return image


def render(scene: Scene, shape: tuple[int, int]) -> tuple[np.ndarray, Surface]:
    """Render the light that reaches the sensor.

    Args:
        scene: the room.
        shape: H, W.

    Returns:
        [3, H, W] float32, linear RGB with the exposure set so that the mean is about 0.2; and what each pixel sees.
    """
    surface = cast(scene.primitives, scene.size, scene.camera, *shape)
    material = material_of(scene, surface)
    reflectance = albedo(scene, surface, material)
    visible = visibility(scene.primitives, surface, surface_ids(surface), scene.lights, shape)
    tint = np.sum([light.colour for light in scene.lights], axis=0)
    radiance = (0.03 * tint.astype(np.float32))[:, None] * _ambient(scene, surface)
    for light, seen in zip(scene.lights, visible, strict=True):
        radiance += np.array(light.colour, np.float32)[:, None] * (_direct(surface, light) * seen)
    radiance *= reflectance
    exposure = 0.2 / float(radiance.mean())
    # Lamps and windows are far brighter than what they light: they glow whatever the exposure.
    glow = material[_EMISSION]
    radiance = radiance * exposure + glow * reflectance * 0.8
    return _smooth_lens(radiance.reshape(3, *shape)), surface


def expose(rng: np.random.Generator, radiance: np.ndarray, noise: float) -> np.ndarray:
    """Turn light into a photograph: exposure, sensor noise of deviation ``noise``, gamma.

    Args:
        rng: source of exposure and noise.
        radiance: [3, H, W] float32 linear RGB.
        noise: standard deviation on the scale [0, 1] of the finished image.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    gain = np.float32(rng.uniform(0.75, 1.35))
    light = gain * radiance
    # A soft shoulder keeps windows from turning into flat white; the root stands in for gamma 2.2.
    image = np.sqrt(light * (1 + 0.15 * light) / (1 + 0.6 * light))
    image += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
