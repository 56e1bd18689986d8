"""The encoder of a run as a tree, in pixels that the page's template draws in SVG."""

from __future__ import annotations

from typing import NamedTuple

from atrcnas.plots.encoder_tree import Joint, encoder_tree
from atrcnas.spec.branches import Branches

_COLUMN, _ROW, _HEAD, _LETTER = 88, 34, 28, 6.2


class Bar(NamedTuple):
    """A limb: a box, and what is said when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    tasks: str


class TreeDrawing(NamedTuple):
    """What a template draws; all places are in pixels of a width x height picture.

    Attributes:
        width: of the picture.
        height: of the picture.
        bars: the limbs.
        curves: path and line width of each joint.
        columns: place and name of each column.
        leaves: place, height and name of each task.
        said: the same in words, for whom the picture is not shown to.
    """

    width: float
    height: float
    bars: tuple[Bar, ...]
    curves: tuple[tuple[str, int], ...]
    columns: tuple[tuple[float, str], ...]
    leaves: tuple[tuple[float, float, str], ...]
    said: str


def tree_drawing(branches: Branches) -> TreeDrawing | None:
    """Lay out a tree; None where nothing parts."""
    if branches.together:
        return None
    tree = encoder_tree(branches)
    right = _x(len(tree.columns) + 0.3)
    leaves = tuple((right, round(_y(row) + 4, 1), task) for row, task in enumerate(tree.tasks))
    return TreeDrawing(
        round(right + _LETTER * max(map(len, tree.tasks)) + 8),
        round(_y(len(tree.tasks) - 0.5)),
        tuple(
            Bar(
                _x(limb.ends[0]),
                _y(limb.row - limb.thickness / 2),
                round(_x(limb.ends[1]) - _x(limb.ends[0]), 1),
                round(_ROW * limb.thickness, 1),
                " + ".join(limb.tasks),
            )
            for limb in tree.limbs
        ),
        tuple((_curve(joint), 1 + carried) for joint, carried in tree.joints()),
        tuple((_x(column + 0.55), name) for column, name in enumerate(tree.columns)),
        leaves,
        f"encoder: {branches.key}",
    )


def _x(column: float) -> float:
    return round(_COLUMN * column, 1)


def _y(row: float) -> float:
    return round(_HEAD + _ROW * (row + 0.5), 1)


def _curve(joint: Joint) -> str:
    (begin, *bends) = (f"{_x(column):g} {_y(row):g}" for column, row in joint)
    return f"M{begin}C{' '.join(bends)}"
