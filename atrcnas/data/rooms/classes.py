"""The label spaces of the rooms: what a pixel can belong to, and which part of a person it can show."""

from enum import IntEnum


class Semseg(IntEnum):
    """Semantic classes; the value is the label in the ``semseg`` map."""

    WALL = 0
    FLOOR = 1
    CEILING = 2
    DOOR = 3
    WINDOW = 4
    BED = 5
    SOFA = 6
    TABLE = 7
    CHAIR = 8
    CABINET = 9
    FIXTURE = 10
    LAMP = 11
    PICTURE = 12
    PROP = 13
    PERSON = 14


class HumanPart(IntEnum):
    """Parts of a person; the value is the label in the ``human_parts`` map."""

    BACKGROUND = 0
    HEAD = 1
    TORSO = 2
    UPPER_ARM = 3
    LOWER_ARM = 4
    UPPER_LEG = 5
    LOWER_LEG = 6


# The three surfaces every room has; everything else is a thing that stands in it or hangs on it.
SHELL = (Semseg.WALL, Semseg.FLOOR, Semseg.CEILING)
