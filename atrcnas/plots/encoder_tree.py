"""The encoder as a tree: a trunk that all tasks share, and where they part."""

from __future__ import annotations

from textwrap import fill
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from atrcnas.plots.canvas import INK
from atrcnas.spec.branches import Branches
from atrcnas.spec.context_config import ContextConfig

_COLUMN_IN, _NAMES_IN = 0.85, 1.3
_BEGIN, _END = 0.24, 0.86  # of a limb within its column
WOOD = "#9dbdd6"


Joint = tuple[tuple[float, float], ...]  # the four points of a Bezier curve


class Limb(NamedTuple):
    """A part of the encoder that some tasks share; the image is at the left, rows are those of the leaves.

    Attributes:
        column: 0 for the trunk, then one for each point at which tasks part.
        row: of its middle.
        parent: row of the limb that it grows from; its own for the trunk.
        tasks: that share it.
    """

    column: int
    row: float
    parent: float
    tasks: tuple[str, ...]

    @property
    def ends(self) -> tuple[float, float]:
        """Where it begins and ends, in columns."""
        return self.column + _BEGIN, self.column + _END

    @property
    def thickness(self) -> float:
        """In rows: thicker where more tasks share it."""
        return 0.12 + 0.1 * len(self.tasks)


class EncoderTree(NamedTuple):
    """What is drawn.

    Attributes:
        tasks: the leaves from top to bottom, such that no limbs cross.
        columns: where each begins: at the image, then at the points.
        limbs: column by column.
    """

    tasks: tuple[str, ...]
    columns: tuple[str, ...]
    limbs: tuple[Limb, ...]

    def joints(self) -> list[tuple[Joint, int]]:
        """Curves from limb to limb and from the last limbs to the leaves, each with how many tasks it carries."""
        last = [limb for limb in self.limbs if limb.column == len(self.columns) - 1]
        twigs = [(limb, task) for limb in last for task in limb.tasks]
        return [
            *((_joint(limb.column, limb.parent, limb.row), len(limb.tasks)) for limb in self.limbs if limb.column),
            *((_joint(len(self.columns), limb.row, float(self.tasks.index(task))), 1) for limb, task in twigs),
        ]


def _joint(column: int, row: float, to_row: float) -> Joint:
    begin, end = column - 1 + _END, column + _BEGIN
    bend = (begin + end) / 2
    return (begin, row), (bend, row), (bend, to_row), (end, to_row)


def encoder_tree(branches: Branches) -> EncoderTree:
    """Lay out a tree; points at which nothing parts have no column."""
    parting = [point for point in branches.points if point in branches.as_mapping()]
    numbers = {
        task: [next(n for n, group in enumerate(branches.groups(point)) if task in group) for point in parting]
        for task in branches.tasks
    }
    leaves = tuple(sorted(branches.tasks, key=numbers.__getitem__))
    row_of = {task: row for row, task in enumerate(leaves)}
    limbs: list[Limb] = []
    parents = dict.fromkeys(leaves, (len(leaves) - 1) / 2)
    for column, groups in enumerate([(branches.tasks,), *map(branches.groups, parting)]):
        for group in groups:
            row = sum(row_of[task] for task in group) / len(group)
            limbs.append(Limb(column, row, parents[group[0]], group))
            parents |= dict.fromkeys(group, row)
    return EncoderTree(leaves, ("image", *parting), tuple(limbs))


def branches_of(config: ContextConfig) -> Branches | None:
    """The encoder of a context config; None where all tasks share all of it.

    Raises:
        ConfigError: its branches are no tree.
    """
    groups = config.model.branches
    tasks = config.named_tasks or [task for group in next(iter(groups.values()), []) for task in group]
    branches = Branches.of(groups, tasks)
    return None if branches.together else branches


def tree_width_in(branches: Branches) -> float:
    """How wide a panel the tree needs, inches."""
    return _COLUMN_IN * (1 + _BEGIN + len(branches.as_mapping())) + _NAMES_IN


def draw_encoder_tree(axes: Axes, branches: Branches) -> None:
    """Draw the tree into an empty panel."""
    tree = encoder_tree(branches)
    for limb in tree.limbs:
        begin, end = limb.ends
        corner = (begin, limb.row - limb.thickness / 2)
        box = FancyBboxPatch(corner, end - begin, limb.thickness, boxstyle="round,pad=0,rounding_size=0.08")
        box.set(facecolor=WOOD, edgecolor="none")
        axes.add_patch(box)
    for joint, carried in tree.joints():
        axes.add_patch(PathPatch(Path(joint, [1, 4, 4, 4]), fill=False, edgecolor=WOOD, linewidth=1 + carried))
    columns, rows = range(len(tree.columns)), range(len(tree.tasks))
    axes.set(xlim=(0, len(columns) + _BEGIN), ylim=(len(rows) - 0.5, -0.5), xlabel="encoder")
    axes.set_xticks([column + (_BEGIN + _END) / 2 for column in columns], [fill(name, 11) for name in tree.columns])
    axes.set_yticks(list(rows), [fill(task, 18) for task in tree.tasks])
    axes.tick_params(length=0, labelsize="medium", labelcolor=INK, labeltop=True, labelbottom=False)
    axes.tick_params(axis="y", labelleft=False, labelright=True)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
