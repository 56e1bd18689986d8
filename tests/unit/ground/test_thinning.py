"""Thinning of packed images against a plain one-image version, and what a thinned line must be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from atrcnas.ground.thinning import level_bits, thin_levels

EIGHT = np.ones((3, 3))


def plain_thinning(image: np.ndarray) -> np.ndarray:
    """Guo and Hall's two sub-iterations, pixel by pixel conditions on one whole image, until nothing changes."""
    image = image.copy()
    while True:
        before = image.copy()
        for second in (False, True):
            p = np.pad(image, 1)
            x = [p[1:-1, 2:], p[:-2, 2:], p[:-2, 1:-1], p[:-2, :-2], p[1:-1, :-2], p[2:, :-2], p[2:, 1:-1], p[2:, 2:]]
            crossings = sum((~x[2 * i] & (x[2 * i + 1] | x[(2 * i + 2) % 8])).astype(int) for i in range(4))
            n1 = sum((x[2 * i] | x[2 * i + 1]).astype(int) for i in range(4))
            n2 = sum((x[2 * i + 1] | x[(2 * i + 2) % 8]).astype(int) for i in range(4))
            fewest = np.minimum(n1, n2)
            side = (x[5] | x[6] | ~x[3]) & x[4] if second else (x[1] | x[2] | ~x[7]) & x[0]
            image = image & ~((crossings == 1) & (fewest >= 2) & (fewest <= 3) & ~side)
        if np.array_equal(image, before):
            return image


def blobs(seed: int, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    """[H, W] smooth values in [0, 1]."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (noise - noise.min()) / np.ptp(noise)


def thinned(image: np.ndarray) -> np.ndarray:
    return thin_levels(image.astype(np.int64), 1)[0] > 0


@pytest.mark.parametrize("num_levels", [1, 63, 64, 65, 99])
def test_packed_thinning_equals_plain_thinning_of_each_level(num_levels: int) -> None:
    rank = np.floor(blobs(num_levels) * (num_levels + 1)).astype(np.int64).clip(0, num_levels)
    words = thin_levels(rank, num_levels)
    levels = level_bits(words.reshape(len(words), -1), num_levels).reshape(num_levels, *rank.shape)
    for level in range(0, num_levels, max(num_levels // 12, 1)):
        assert np.array_equal(levels[level], plain_thinning(rank > level)), level


@pytest.mark.parametrize("seed", range(4))
def test_thinning_keeps_connectedness_and_is_idempotent(seed: int) -> None:
    image = blobs(seed) > 0.6
    lines = thinned(image)
    assert not (lines & ~image).any()
    assert label(lines, EIGHT)[1] == label(image, EIGHT)[1]
    assert np.array_equal(thinned(lines), lines)


def test_a_thick_bar_becomes_one_line_and_a_thin_line_stays() -> None:
    bar = np.zeros((20, 40), bool)
    bar[8:13, 3:37] = True
    assert thinned(bar).sum(axis=0).max() == 1
    line = np.zeros((20, 40), bool)
    line[10, :] = True
    assert np.array_equal(thinned(line), line)


def test_images_that_touch_the_frame_or_are_empty_or_full() -> None:
    assert not thinned(np.zeros((5, 7), bool)).any()
    for full in (np.ones((6, 9), bool), np.ones((1, 9), bool), np.ones((1, 1), bool)):
        assert np.array_equal(thinned(full), plain_thinning(full))


def test_the_order_of_memory_does_not_matter() -> None:
    rank = np.zeros((8, 9), np.int64)
    rank[:, 3:6] = 1
    assert np.array_equal(thin_levels(np.asfortranarray(rank), 1), thin_levels(rank, 1))
