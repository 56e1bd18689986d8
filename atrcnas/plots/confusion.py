"""What each class is taken for: the confusion matrix of every task that has one."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import Registry
from atrcnas.plots.canvas import FAINT, INK, SMALL_SIZE, panels, styled
from atrcnas.plots.palette import MAX_CLASSES
from atrcnas.plots.registry import known
from atrcnas.runs.tables import CONFUSION, read_some
from atrcnas.spec.tasks import TASKS, Task

_CELL_IN, _LABELS_IN = 0.34, 1.6
_MAX_SIDE_IN = 9.0
_MAX_NAMED, _MAX_WRITTEN = 60, 22  # more classes have numbers at some ticks only, and no figures in the cells
_DARK = 0.55


def draw_confusion(path: Path, table: Registry[Task] = TASKS) -> dict[str, Figure]:
    """Draw true classes as rows and predicted ones as columns; a cell is the share of its row.

    Args:
        path: confusion.csv of a run.
        table: of the tasks; names of classes are from there.

    Returns:
        A figure for each task, by the ending of its file name.

    Raises:
        RunError: the file is missing, malformed or empty, or of an unknown task.
    """
    figures = {}
    for name, rows in read_some(path, CONFUSION).groupby("task", sort=False):
        task = known(table, str(name), path)
        numbers = rows[["truth", "prediction"]].to_numpy(int)
        count = max(len(task.class_names), int(numbers.max()) + 1)
        if numbers.min() < 0 or rows["pixels"].min() < 0 or count > MAX_CLASSES:
            raise RunError(f"{path}: expected classes from 0 to {MAX_CLASSES - 1} and pixels. Evaluate the run again.")
        pixels = np.zeros((count, count))
        pixels[numbers[:, 0], numbers[:, 1]] = rows["pixels"]
        figures[f"_{task.name}"] = _draw(task, pixels)
    return figures


def _draw(task: Task, pixels: NDArray[np.float64]) -> Figure:
    count, total = len(pixels), pixels.sum(axis=1)
    shares = np.divide(pixels, total[:, None], out=np.full_like(pixels, np.nan), where=total[:, None] > 0)
    side = min(_CELL_IN * count, _MAX_SIDE_IN) + _LABELS_IN
    with styled():
        figure, (axes,) = panels(f"{task.name}: what each class is taken for", 1, 1, (side + 0.6, side - 0.5))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        step = 1 if count <= _MAX_NAMED else count // _MAX_NAMED + 1
        ticks = range(0, count, step)
        axes.set_xticks(ticks, [_label(task, number) for number in ticks], rotation=90)
        axes.set_yticks(ticks, [_label(task, number) for number in ticks])
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set(parse_math=False, color=INK, size=SMALL_SIZE)
        if count <= _MAX_WRITTEN:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    ink = "white" if share > _DARK else INK
                    axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=6, color=ink)
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "Blues"), ax=axes, shrink=0.6)
        bar.set_label("share of the true class; numbers in percent", color=FAINT)
    return figure


def _label(task: Task, number: int) -> str:
    return shorten(task.class_names[number], 18) if number < len(task.class_names) else str(number)
