"""Morphological thinning of many binary images at once, one bit of a word per image.

A probability map cut at 99 thresholds gives 99 images of the same pixels. Packed into words, one pass of Boolean
algebra thins 64 of them, and after the first passes only pixels next to a change are looked at again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]
BITS = 64
# Rows of the working set that still fit the processor's second-level cache.
CHUNK = 8192


def thin_levels(rank: npt.NDArray[np.int64], num_levels: int) -> Words:
    """Thin the images ``rank > 0``, ``rank > 1``, .. ``rank > num_levels - 1`` to lines one pixel wide.

    Args:
        rank: [H, W] int64 in [0, num_levels].
        num_levels: L >= 1.

    Returns:
        [ceil(L / 64), H, W] uint64; bit j % 64 of word j // 64 is the thinned image j.

    Source: Guo and Hall 1989, "Parallel thinning with two-subiteration algorithms", variant A1 with the neighbour
    condition of Lam, Lee and Suen 1992, which is what the boundary benchmark applies until nothing changes.
    """
    num_words = -(-num_levels // BITS)
    words = np.empty((num_words, *rank.shape), np.uint64)
    for word in range(num_words):
        ones = np.clip(np.arange(num_levels + 1) - word * BITS, 0, BITS)
        table = np.array([(1 << int(count)) - 1 for count in ones], np.uint64)
        # In rows, whatever the order of rank (MATLAB files come in columns): thinning works on a flat view.
        padded = np.ascontiguousarray(np.pad(table[rank], 1))
        _thin(padded)
        words[word] = padded[1:-1, 1:-1]
    return words


def level_bits(words: Words, num_levels: int) -> npt.NDArray[np.bool_]:
    """Unpack [ceil(L / 64), N] words to [L, N] bool, one row per image."""
    octets = np.ascontiguousarray(words.T).astype("<u8", copy=False).view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little", count=num_levels)
    return np.ascontiguousarray(bits.T).view(np.bool_)


def _thin(padded: Words) -> None:
    """Thin [H + 2, W + 2] words in place; the outer frame is 0 and stays so."""
    flat = padded.reshape(-1)
    width = padded.shape[1]
    # East, then anticlockwise, as the conditions are written.
    around = np.array([1, 1 - width, -width, -1 - width, -1, width - 1, width, width + 1])
    active = np.flatnonzero(flat)
    previous = active
    while len(active):
        changed: list[Indices] = []
        for second in (False, True):
            deleted = _delete(flat, active, around, second)
            changed.append(deleted)
            # A pixel may fall in this kind of pass only if something next to it changed since the last such pass.
            active = _beside(np.concatenate([previous, deleted]), around, flat)
            previous = deleted
        if not any(map(len, changed)):
            return


def _delete(flat: Words, active: Indices, around: Indices, second: bool) -> Indices:
    """One sub-iteration over the ``active`` pixels; returns those from which a bit fell."""
    removed = [
        _removable(flat, active[start : start + CHUNK], around, second) for start in range(0, len(active), CHUNK)
    ]
    bits = np.concatenate(removed) if removed else np.empty(0, np.uint64)
    fallen = np.flatnonzero(bits)
    pixels = active[fallen]
    # Only after all chunks were judged: every pixel is judged by the same image.
    flat[pixels] &= ~bits[fallen]
    return pixels


def _removable(flat: Words, pixels: Indices, around: Indices, second: bool) -> Words:
    """Per pixel, the bits (images) in which it may be deleted."""
    e, ne, n, nw, w, sw, s, se = (flat[pixels + offset] for offset in around)
    # Exactly one 0-to-1 change on the way around: deleting it breaks no line.
    rise_1, rise_2, rise_3, rise_4 = ~e & (ne | n), ~n & (nw | w), ~w & (sw | s), ~s & (se | e)
    one_rise = ((rise_1 ^ rise_2) & ~(rise_3 | rise_4)) | ((rise_3 ^ rise_4) & ~(rise_1 | rise_2))
    two_a, four_a = _at_least_two_and_four(e | ne, n | nw, w | sw, s | se)
    two_b, four_b = _at_least_two_and_four(ne | n, nw | w, sw | s, se | e)
    # 2 <= min(neighbours counted in either way) <= 3: neither a line's end nor the inside of a blob.
    border = two_a & two_b & ~(four_a & four_b)
    kept_side = ((sw | s | ~nw) & w) if second else ((ne | n | ~se) & e)
    deletable: Words = flat[pixels] & one_rise & border & ~kept_side
    return deletable


def _at_least_two_and_four(a: Words, b: Words, c: Words, d: Words) -> tuple[Words, Words]:
    both_1: Words = a & b
    both_2: Words = c & d
    two: Words = both_1 | both_2 | ((a | b) & (c | d))
    four: Words = both_1 & both_2
    return two, four


def _beside(pixels: Indices, around: Indices, flat: Words) -> Indices:
    """Non-empty pixels at or next to ``pixels``."""
    mark = np.zeros(len(flat), np.bool_)
    mark[pixels] = True
    for offset in around:
        mark[pixels + offset] = True
    return np.flatnonzero(mark & (flat != 0))
