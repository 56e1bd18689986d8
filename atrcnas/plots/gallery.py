"""What the network sees: input, then for every task the prediction over the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from atrcnas.plots.canvas import FAINT, SMALL_SIZE, fit, fold, panels, styled
from atrcnas.plots.colourise import Range
from atrcnas.plots.samples import Sample, read_sample, sample_files
from atrcnas.spec.tasks import TASKS, Task

_TILE_IN = 1.6


def draw_gallery(samples_dir: Path, max_samples: int = 4) -> Figure:
    """Draw two rows per sample: predictions above, truth below; the input beside both.

    Args:
        samples_dir: folder of ``*.npz`` as the evaluation writes them; the first by name are drawn.
        max_samples: upper limit.

    Raises:
        RunError: no samples, or one that is damaged or of an unknown task.
    """
    samples = [read_sample(path) for path in sample_files(samples_dir, max_samples)]
    tasks = list(dict.fromkeys(task for sample in samples for task in sample.tasks))
    columns = 1 + len(tasks)
    tallest = max(sample.image.shape[0] / sample.image.shape[1] for sample in samples)
    tile = (_TILE_IN, _TILE_IN * float(np.clip(tallest, 0.4, 2.0)))
    with styled():
        figure, axes = panels("Predictions and ground truth", 2 * len(samples) * columns, columns, tile)
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.04)
        for panel, name in zip(axes, ["input", *tasks], strict=False):
            panel.set_title(fold(name, 19), loc="center").set_gid("column")
        for index, sample in enumerate(samples):
            above = 2 * columns * index
            below = above + columns
            _draw_sample(axes[above:below], axes[below : below + columns], sample, tasks)
        notes = [fold(note, int(15 * columns * _TILE_IN)) for note in _notes([TASKS[task] for task in tasks])]
        missing = Patch(facecolor="#e2e2e2", edgecolor="#bababa", hatch="/////")
        handles = [missing, *[Line2D([], [], linestyle="none")] * (len(notes) - 1)]
        figure.legend(handles, notes, loc="outside lower left", labelcolor=FAINT, fontsize=SMALL_SIZE)
        return fit(figure, tile)


def _draw_sample(above: Sequence[Axes], below: Sequence[Axes], sample: Sample, tasks: Sequence[str]) -> None:
    for axes in (*above, *below):
        axes.grid(visible=False)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    above[0].set_ylabel("prediction", size=SMALL_SIZE)
    below[0].set_ylabel("truth", size=SMALL_SIZE)
    name = fold(sample.path.stem, 24)
    below[0].text(0.5, 0.95, name, size=SMALL_SIZE, color=FAINT, ha="center", va="top", transform=below[0].transAxes)
    _show(above[0], sample.image)
    for task, top, bottom in zip(tasks, above[1:], below[1:], strict=True):
        if task not in sample.tasks:
            continue
        prediction, truth, value_range = sample.pictures(task)
        _show(top, prediction)
        _show(bottom, truth)
        if _has_bar(TASKS[task]):
            _draw_bar(bottom, TASKS[task], value_range)


def _show(axes: Axes, rgb: NDArray[np.uint8]) -> None:
    axes.imshow(rgb, interpolation="antialiased")
    axes.spines[:].set(visible=True, linewidth=0.4)


def _has_bar(task: Task) -> bool:
    return task.display not in ("palette", "vector")


def _draw_bar(axes: Axes, task: Task, value_range: Range) -> None:
    """A colour bar with the values at its two ends, shared by prediction and truth."""
    colours = ScalarMappable(Normalize(*value_range), task.display)
    bar = axes.figure.colorbar(
        colours, ax=axes, location="bottom", ticks=value_range, shrink=0.6, aspect=12, pad=0.02, panchor=False
    )
    unit = f" {task.unit}" if task.target == "scalar" and task.unit else ""
    bar.set_ticklabels([f"{value_range[0]:.3g}", f"{value_range[1]:.3g}{unit}"])
    bar.ax.tick_params(length=0)


def _notes(tasks: Sequence[Task]) -> list[str]:
    """How to read the colours: the first line belongs to the striped swatch."""
    notes = ["striped grey: no ground truth, not scored"]
    by_class = [task.name for task in tasks if task.display == "palette"]
    vectors = [task.name for task in tasks if task.display == "vector"]
    if by_class:
        notes.append(f"{', '.join(by_class)}: one colour per class, the same in prediction, truth and every sample")
    if vectors:
        notes.append(f"{', '.join(vectors)}: red, green, blue = (n + 1) / 2 of the unit vector n")
    for task in filter(_has_bar, tasks):
        ends = "the sample's own range" if task.display_range is None else "the same range in every sample"
        notes.append(f"{task.name}: {task.description}; {ends}")
    return notes
