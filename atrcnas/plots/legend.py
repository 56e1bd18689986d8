"""What the colours of class pictures stand for."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from atrcnas.plots.canvas import new_figure, styled
from atrcnas.plots.palette import MAX_CLASSES, class_palette
from atrcnas.spec.tasks import Task

_COLUMNS, _COLUMN_IN, _ROW_IN, _TITLE_IN = 4, 1.9, 0.22, 0.5
_LONGEST = 26  # letters of a name that fit into a column


def draw_legend(tasks: Iterable[Task]) -> Figure | None:
    """A key of the class tasks among ``tasks``: colour, number and name of each class; None if there are none."""
    shown = [task for task in tasks if task.display == "palette"]
    if not shown:
        return None
    heights = [_TITLE_IN + _ROW_IN * -(-min(task.num_channels, MAX_CLASSES) // _COLUMNS) for task in shown]
    with styled():
        figure = new_figure("Classes", _COLUMNS * _COLUMN_IN, _TITLE_IN + sum(heights))
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)
        for panel, task in zip(axes.flat, shown, strict=True):
            panel.set_axis_off()
            colours = class_palette(task)[: task.num_channels] / 255
            handles = [Patch(facecolor=colour, label=_label(task, index)) for index, colour in enumerate(colours)]
            place = {"loc": "upper left", "mode": "expand", "ncols": _COLUMNS, "borderaxespad": 0}
            key = panel.legend(handles=handles, title=task.name, alignment="left", **place)
            for text in key.get_texts():
                text.set_parse_math(False)  # a class may be called anything
    return figure


def _label(task: Task, index: int) -> str:
    name = task.class_names[index] if index < len(task.class_names) else ""
    return f"{index} {name}".rstrip() if len(name) <= _LONGEST else f"{index} {name[: _LONGEST - 1].rstrip()}…"
