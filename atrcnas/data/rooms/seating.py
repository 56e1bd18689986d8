"""Furniture to sit and lie on: chairs, sofas, beds. Each function draws one compound in its own frame."""

import math

import numpy as np

from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.parts import Anchor, Compound
from atrcnas.data.rooms.style import Style, fabric


def chair(rng: np.random.Generator, style: Style) -> Compound:
    """A chair with four legs and a back."""
    width, seat = rng.uniform(0.40, 0.5), rng.uniform(0.43, 0.48)
    body = style.wood if rng.random() < 0.6 else style.paint
    item = Compound(Semseg.CHAIR, (width, width, 0.9))
    item.box((0, 0, seat - 0.025), (width, width, 0.05), style.fabric if rng.random() < 0.4 else body)
    back = rng.uniform(0.38, 0.55)
    item.box((0, width / 2 - 0.01, seat + back / 2 + 0.05), (width, 0.035, back), body, tilt=-0.1)
    foot = width / 2 - 0.03
    for x in (-foot, foot):
        for y in (-foot, foot):
            item.box((x, y, (seat - 0.05) / 2), (0.04, 0.04, seat - 0.05), body)
    item.anchors.append(Anchor("sit", 0, 0.02, seat, 0))
    return item


def office_chair(rng: np.random.Generator, style: Style) -> Compound:
    """A swivel chair on a column."""
    item = Compound(Semseg.CHAIR, (0.56, 0.56, 1.0))
    cover = style.dark if rng.random() < 0.6 else style.fabric
    item.box((0, 0, 0.45), (0.48, 0.46, 0.08), cover)
    item.box((0, 0.24, 0.78), (0.44, 0.06, 0.5), cover, tilt=-0.12)
    item.cylinder((0, 0, 0.24), 0.035, 0.36, style.metal)
    item.box((0, 0, 0.05), (0.54, 0.06, 0.05), style.dark)
    item.box((0, 0, 0.05), (0.06, 0.54, 0.05), style.dark)
    if rng.random() < 0.6:
        for x in (-0.26, 0.26):
            item.box((x, 0.02, 0.66), (0.05, 0.3, 0.04), style.dark)
    item.anchors.append(Anchor("sit", 0, 0.02, 0.49, 0))
    return item


def stool(rng: np.random.Generator, style: Style) -> Compound:
    """A round stool, which is a chair too."""
    height, radius = rng.uniform(0.42, 0.5), rng.uniform(0.17, 0.22)
    item = Compound(Semseg.CHAIR, (0.44, 0.44, height))
    item.cylinder((0, 0, height - 0.04), radius, 0.08, style.second_fabric)
    item.cylinder((0, 0, height / 2 - 0.04), 0.04, height - 0.08, style.metal)
    item.cylinder((0, 0, 0.02), radius * 0.9, 0.03, style.metal)
    item.anchors.append(Anchor("sit", 0, 0, height, 0))
    return item


def _upholstered(rng: np.random.Generator, style: Style, label: Semseg, seats: int) -> Compound:
    seat, depth, arm = rng.uniform(0.38, 0.46), rng.uniform(0.8, 0.95), rng.uniform(0.12, 0.22)
    place = rng.uniform(0.55, 0.7)
    width = seats * place + 2 * arm
    cover, top = style.fabric, rng.uniform(0.72, 0.92)
    item = Compound(label, (width, depth, top))
    item.box((0, 0, (seat - 0.12) / 2 + 0.04), (width, depth, seat - 0.14), cover)
    item.box((0, depth / 2 - 0.1, top / 2 + 0.03), (width, 0.2, top - 0.06), cover)
    arm_height = seat + rng.uniform(0.1, 0.22)
    for side in (-1, 1):
        item.box(
            (side * (width - arm) / 2, -0.02, arm_height / 2 + 0.02), (arm, depth - 0.04, arm_height - 0.04), cover
        )
    pillow = fabric(rng)
    for seat_index in range(seats):
        x = (seat_index - (seats - 1) / 2) * place
        item.box((x, -0.1, seat - 0.06), (place - 0.02, depth - 0.22, 0.12), cover)
        item.anchors.append(Anchor("sit", x, 0.08, seat, 0))
        if rng.random() < 0.35:
            item.box((x + rng.uniform(-0.1, 0.1), 0.16, seat + 0.2), (0.4, 0.12, 0.38), pillow, tilt=-0.25)
    return item


def sofa(rng: np.random.Generator, style: Style) -> Compound:
    """A sofa with two or three seats."""
    item = _upholstered(rng, style, Semseg.SOFA, int(rng.integers(2, 4)))
    if len(item.anchors) == 3:
        item.anchors.append(Anchor("lie", 0, -0.1, item.anchors[0].z, math.pi / 2))
    return item


def armchair(rng: np.random.Generator, style: Style) -> Compound:
    """One upholstered seat: built as a sofa, called a chair."""
    return _upholstered(rng, style, Semseg.CHAIR, 1)


def bed(rng: np.random.Generator, style: Style) -> Compound:
    """A single or double bed, head to the wall."""
    double = rng.random() < 0.6
    width = rng.uniform(1.4, 1.8) if double else rng.uniform(0.9, 1.1)
    length, top = rng.uniform(1.95, 2.1), rng.uniform(0.42, 0.6)
    frame = style.wood if rng.random() < 0.7 else style.second_fabric
    item = Compound(Semseg.BED, (width, length, top))
    item.box((0, 0, (top - 0.2) / 2), (width, length, top - 0.2), frame)
    item.box((0, -0.01, top - 0.1), (width - 0.04, length - 0.06, 0.2), style.ceramic)
    head = top + rng.uniform(0.25, 0.6)
    item.box((0, length / 2 - 0.03, head / 2), (width + 0.04, 0.06, head), frame)
    cover = length * rng.uniform(0.5, 0.72)
    item.box((0, -length / 2 + cover / 2, top + 0.0), (width + 0.03, cover, 0.09), style.fabric)
    for x in (-width / 4, width / 4) if double else (0.0,):
        item.ellipsoid((x, length / 2 - 0.3, top + 0.05), (0.3, 0.2, 0.09), style.ceramic)
        item.anchors.append(Anchor("lie", x, 0, top + 0.04, 0))
    for side in (-1, 1):
        item.anchors.append(Anchor("sit", side * (width / 2 - 0.18), -length * 0.15, top + 0.04, side * math.pi / 2))
    return item
