"""Scenes in which a bit of the target has been put where one kind of context finds it.

At each pixel that counts, the target is a class, which can be seen there, and a bit, which cannot (but for `own_value`):
its evidence lies where the plant says. Distances are such that the features of a pixel, behind `atrcnas_small` and one 3x3
convolution, do not reach the evidence: they see 7 pixels to the right and down, and 7 to the left and up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

HEIGHT, WIDTH = 32, 96
PATCH = 8  # side of the squares that scenes are made of, pixels
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
HALF = WIDTH // 2
# Patches: evidence for far pixels ends before LEFT or MIDDLE, these pixels begin at MIDDLE or FAR.
LEFT, MIDDLE, FAR = 4, 7, 10
RIGHT_VOTES = 29  # of 48 patches
AGAINST = 22  # of 36 patches: the other 14, and the 8 things at the left, make up for them
FAINT = 0.4  # evidence that leaves a pixel alike its neighbours


@dataclass
class Scene:
    """What is drawn and what is true; maps [32, 96].

    Attributes:
        own: int64, the target's class without the bit.
        bit: int64 in {0, 1}.
        source: int64, the source's class.
        red: float in [-1, 1], evidence of the bit.
        own_seen: bool, where the target's class is visible.
        source_seen: bool, where the source's is; elsewhere it does not count.
        scored: bool, where the target counts.
    """

    own: np.ndarray
    bit: np.ndarray
    source: np.ndarray
    red: np.ndarray
    own_seen: np.ndarray
    source_seen: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True)
class Plant:
    """One place to hide the bit.

    Attributes:
        kinds: the kinds of context that can bring it, the planted one first.
        description: one line.
        classes: how many the source has, and the target without the bit.
        draw: from a generator to a scene.
    """

    kinds: tuple[str, ...]
    description: str
    classes: tuple[int, int]
    draw: Callable[[Generator], Scene]


def enlarge(patches: np.ndarray) -> np.ndarray:
    """A grid of any divisor of the scene's size to pixels."""
    return patches.repeat(HEIGHT // patches.shape[0], axis=0).repeat(WIDTH // patches.shape[1], axis=1)


def _scene(own: np.ndarray, source: np.ndarray, bit: np.ndarray | int = 0, red: np.ndarray | int = 0) -> Scene:
    """From grids to a scene in which everything is visible and counts."""
    bits, shown = (enlarge(np.broadcast_to(np.asarray(value), (ROWS, COLUMNS))) for value in (bit, red))
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    return Scene(enlarge(own), bits, enlarge(source), shown.astype(float), everywhere, everywhere, everywhere)


def _classes(rng: Generator) -> np.ndarray:
    """Patches of four classes, equally many of each."""
    return rng.permutation(np.arange(ROWS * COLUMNS) % 4).reshape(ROWS, COLUMNS)


def _halves(rng: Generator) -> np.ndarray:
    """One class above, another one below."""
    return np.broadcast_to(np.arange(ROWS)[:, None] // 2 ^ rng.integers(2), (ROWS, COLUMNS))


def own_value(rng: Generator) -> Scene:
    """The evidence is where it is needed."""
    red = rng.choice((-1, 1), (ROWS, COLUMNS))
    return _scene(_classes(rng), _classes(rng), (red > 0).astype(int), red)


def near_value(rng: Generator) -> Scene:
    """A column unlike all else shows the bit of its half of the scene; the other half has the opposite bit."""
    scene = _scene(_classes(rng), _classes(rng))
    scene.bit = np.broadcast_to(int(rng.integers(2)) ^ (np.arange(WIDTH) // HALF), (HEIGHT, WIDTH))
    scene.own_seen = scene.source_seen = ~_columns(rng, scene, 1.0)
    return scene


def scene_average(rng: Generator) -> Scene:
    """Each patch votes on the one bit of the scene."""
    bit = int(rng.integers(2))
    right = rng.permutation(ROWS * COLUMNS).reshape(ROWS, COLUMNS) < RIGHT_VOTES
    return _scene(_classes(rng), _classes(rng), bit, np.where(right, 2 * bit - 1, 1 - 2 * bit))


def target_regions(rng: Generator) -> Scene:
    """Things, a class of the target: the few at the left show the bit of those at the right.

    All other patches show chance, and together exactly the opposite: the average over the scene says nothing.
    """
    thing = np.zeros((ROWS, COLUMNS), int)
    for row in range(ROWS):
        thing[row, [*rng.permutation(LEFT)[:2], rng.integers(MIDDLE, COLUMNS)]] = 1
    bit = int(rng.integers(2))
    others = np.arange(ROWS * COLUMNS - 3 * ROWS) < AGAINST
    red = np.where(np.arange(COLUMNS) < LEFT, 2 * bit - 1, 0) * thing
    red[thing == 0] = rng.permutation(np.where(others, 1 - 2 * bit, 2 * bit - 1))
    scene = _scene(thing, _halves(rng), bit * thing, red)
    column = np.arange(WIDTH) // PATCH
    scene.scored = np.where(column >= MIDDLE, scene.own == 1, column == MIDDLE - 1)
    return scene


def source_regions(rng: Generator) -> Scene:
    """The two classes of the source have opposite bits, shown wherever they are, but not near the pixels that count."""
    source = _classes(rng) % 2
    bits = source ^ rng.integers(2)
    scene = _scene(_halves(rng), source, bits, np.where(np.arange(COLUMNS) < MIDDLE, 2 * bits - 1, 0))
    scene.scored = np.broadcast_to(np.arange(WIDTH) >= FAR * PATCH, (HEIGHT, WIDTH))
    return scene


def beside_value(rng: Generator) -> Scene:
    """Every 24 pixels one column shows its bit just out of sight at its left, and the opposite at its right."""
    bit = enlarge(rng.integers(2, size=(ROWS // 2, WIDTH // 24)))
    scene = _scene(rng.integers(2, size=(1, 1)), _halves(rng))
    place = np.arange(WIDTH) % 24 - 12
    left, middle, right = ((place >= start) & (place < start + 4) for start in (-11, 0, 8))
    scene.bit, scene.red = bit, (1.0 * left - right) * (2 * bit - 1)
    scene.own_seen, scene.scored = (np.broadcast_to(one, bit.shape) for one in (middle, (place == 1) | (place == 2)))
    return scene


def source_structure(rng: Generator) -> Scene:
    """As :func:`near_value`, but the classes of the source above and below have opposite bits, and the column looks like them."""
    scene = _scene(rng.integers(2, size=(1, 2)), _halves(rng))
    scene.bit = int(rng.integers(2)) ^ (np.arange(WIDTH) // HALF) ^ (np.arange(HEIGHT)[:, None] // (HEIGHT // 2))
    _columns(rng, scene, FAINT)
    return scene


def _columns(rng: Generator, scene: Scene, strength: float) -> np.ndarray:
    """Show the bit in one column of each half; only pixels count that are out of sight, but within 20 pixels, of it."""
    shown, scene.scored = np.zeros((2, HEIGHT, WIDTH), bool)
    first = int(rng.choice((16, 20)))
    for at in (first, first + HALF):
        shown[:, at : at + PATCH] = True
        scene.scored[:, at - 16 : at - 8] = scene.scored[:, at + 20 : at + 28] = True
    scene.red = np.where(shown, strength * (2 * scene.bit - 1), 0)
    return shown


PLANTS = {
    "own_value": Plant(("none",), "the target needs nothing of the source", (4, 4), own_value),
    "near_value": Plant(("local",), "a value a few pixels away", (4, 4), near_value),
    "scene_average": Plant(("global", "tlabel", "slabel"), "an average over the scene", (4, 4), scene_average),
    "target_regions": Plant(
        ("tlabel", "slabel", "global"), "the average over the target's own class", (2, 2), target_regions
    ),
    "source_regions": Plant(("slabel",), "the average over the source's class", (2, 2), source_regions),
    "beside_value": Plant(
        ("mti", "local", "affinity"), "the source's features just beside the pixel", (2, 2), beside_value
    ),
    "source_structure": Plant(
        ("affinity", "local"), "the target's values along the source's structure", (2, 2), source_structure
    ),
}
