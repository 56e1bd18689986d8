"""Kinds of rooms: how large they are and what is likely to be in them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from atrcnas.data.rooms import bathroom, decor, seating, storage, tables
from atrcnas.data.rooms.parts import Compound
from atrcnas.data.rooms.style import Style

Maker = Callable[[np.random.Generator, Style], Compound]


class Item(NamedTuple):
    """One line of a recipe: what, how likely, and whether it stands against a wall."""

    make: Maker
    chance: float
    at_wall: bool = True


class Kind(NamedTuple):
    """A kind of room. Sides in metres; items in the order in which they find their place."""

    shortest_m: float
    longest_m: float
    tiled: bool
    items: tuple[Item, ...]


KINDS: dict[str, Kind] = {
    "bedroom": Kind(
        3.0,
        5.2,
        False,
        (
            Item(seating.bed, 1.0),
            Item(storage.nightstand, 0.9),
            Item(storage.wardrobe, 0.8),
            Item(seating.bed, 0.25),
            Item(tables.desk_set, 0.3),
            Item(storage.dresser, 0.6),
            Item(seating.armchair, 0.35),
            Item(storage.nightstand, 0.5),
            Item(decor.floor_lamp, 0.3),
            Item(decor.plant, 0.35),
            Item(decor.rug, 0.4, False),
        ),
    ),
    "living room": Kind(
        3.8,
        8.0,
        False,
        (
            Item(seating.sofa, 1.0),
            Item(tables.coffee_table, 0.85, False),
            Item(storage.television_stand, 0.75),
            Item(storage.bookshelf, 0.7),
            Item(seating.sofa, 0.45),
            Item(seating.armchair, 0.6),
            Item(decor.floor_lamp, 0.6),
            Item(tables.side_table, 0.6),
            Item(decor.plant, 0.6),
            Item(storage.dresser, 0.3),
            Item(tables.dining_set, 0.35, False),
            Item(seating.armchair, 0.35, False),
            Item(decor.rug, 0.6, False),
        ),
    ),
    "kitchen": Kind(
        3.0,
        5.6,
        True,
        (
            Item(storage.counter, 1.0),
            Item(storage.fridge, 0.95),
            Item(storage.counter, 0.6),
            Item(tables.dining_set, 0.85, False),
            Item(storage.wardrobe, 0.3),
            Item(seating.stool, 0.3, False),
            Item(decor.plant, 0.2),
        ),
    ),
    "office": Kind(
        3.4,
        8.0,
        False,
        (
            Item(tables.desk_set, 1.0),
            Item(storage.bookshelf, 0.9),
            Item(tables.desk_set, 0.7),
            Item(storage.dresser, 0.6),
            Item(tables.dining_set, 0.35, False),
            Item(storage.bookshelf, 0.5),
            Item(seating.sofa, 0.2),
            Item(decor.plant, 0.5),
            Item(seating.office_chair, 0.4, False),
            Item(decor.floor_lamp, 0.25),
        ),
    ),
    "bathroom": Kind(
        2.5,
        3.8,
        True,
        (
            Item(bathroom.bathtub, 0.9),
            Item(bathroom.toilet, 1.0),
            Item(bathroom.washbasin, 1.0),
            Item(storage.dresser, 0.35),
            Item(storage.wardrobe, 0.3),
            Item(bathroom.washbasin, 0.3),
            Item(seating.stool, 0.4),
            Item(decor.plant, 0.2),
            Item(decor.rug, 0.4, False),
        ),
    ),
    "dining room": Kind(
        3.6,
        6.6,
        False,
        (
            Item(tables.dining_set, 1.0, False),
            Item(storage.dresser, 0.9),
            Item(storage.bookshelf, 0.4),
            Item(seating.sofa, 0.35),
            Item(storage.wardrobe, 0.3),
            Item(decor.plant, 0.6),
            Item(decor.floor_lamp, 0.4),
            Item(seating.chair, 0.5),
            Item(decor.rug, 0.4, False),
        ),
    ),
}
