"""What the network sees: input, then for every task the prediction over the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill, shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import Registry
from atrcnas.plots.canvas import FAINT, SMALL_SIZE, legend_below, panels, styled
from atrcnas.plots.colourise import colourise, own_range
from atrcnas.plots.palette import class_palette
from atrcnas.plots.registry import known
from atrcnas.plots.samples import Maps, read_sample
from atrcnas.spec.tasks import TASKS, Task

_TILE_IN = 1.8
_MAX_NAMED = 20
_LEGEND = {"palette": "one colour per class", "vector": "red, green, blue = (n + 1) / 2 of the unit vector n"}


def draw_gallery(samples_dir: Path, max_samples: int = 4, table: Registry[Task] = TASKS) -> Figure:
    """Draw two rows per sample: predictions above, truth below; the input beside both.

    Args:
        samples_dir: folder of ``*.npz`` as the evaluation writes them; the first by name are drawn.
        max_samples: upper limit.
        table: of the tasks; names and colours of classes are from there.

    Raises:
        RunError: no samples, or one that is damaged or of an unknown task.
    """
    files = sorted(samples_dir.glob("*.npz"))[:max_samples]
    if not files:
        raise RunError(f"{samples_dir}: expected *.npz samples, got none. Evaluate the run first.")
    samples = [read_sample(path) for path in files]
    named = {name: path for path, (_, maps) in zip(files, samples, strict=True) for name in maps}
    tasks = [known(table, name, path) for name, path in named.items()]
    tallest = max(image.shape[0] / image.shape[1] for image, _ in samples)
    tile = (_TILE_IN, _TILE_IN * float(np.clip(tallest, 0.4, 2.0)) + 0.2)
    with styled():
        figure, axes = panels("Predictions and ground truth", 2 * len(files) * (1 + len(tasks)), 1 + len(tasks), tile)
        figure.set_layout_engine("compressed")
        for panel in axes:
            panel.set_axis_off()
        for panel, name in zip(axes, ["input", *(task.name for task in tasks)], strict=False):
            panel.set_title(fill(name, 19), loc="center").set_gid("column")
        rows = np.array(axes, dtype=object).reshape(len(files), 2, -1)
        for path, (image, maps), pair in zip(files, samples, rows, strict=True):
            pair[0, 0].imshow(image)
            pair[0, 0].set_axis_on()
            pair[0, 0].set(xticks=[], yticks=[], xlabel=fill(path.stem, 24))
            for task, above, below in zip(tasks, pair[0, 1:], pair[1, 1:], strict=True):
                if task.name in maps:
                    _draw_task(above, below, task, maps[task.name], path)
        notes = ["upper row: prediction; lower row: truth, striped grey where there is none"]
        notes += [f"{task.name}: {_LEGEND.get(task.display, task.description)}" for task in tasks]
        lines = "\n".join(fill(note, int(14 * figure.get_figwidth())) for note in notes)
        handles = [handle for task in tasks for handle in _class_handles(task, [maps for _, maps in samples])]
        if handles:
            legend_below(figure, figure.get_figwidth(), handles, lines)
        else:
            figure.supxlabel(lines, x=0.01, ha="left", size=SMALL_SIZE, color=FAINT)
    return figure


def _class_handles(task: Task, samples: Sequence[Mapping[str, Maps]]) -> list[Patch]:
    """A patch for each class with a name that the pictures show, most frequent first, at most ``_MAX_NAMED``."""
    if task.display != "palette" or not task.class_names:
        return []
    counts = np.zeros(len(task.class_names), np.int64)
    for prediction, target, valid in (maps[task.name] for maps in samples if task.name in maps):
        for shown in (prediction, target[valid]):
            inside = shown[(shown >= 0) & (shown < counts.size)].astype(np.int64)
            counts += np.bincount(inside, minlength=counts.size)
    numbers = [int(number) for number in np.argsort(-counts, kind="stable")[:_MAX_NAMED] if counts[number]]
    colours = class_palette(task) / 255
    # Escaped, since a class may be called anything and matplotlib reads $ as mathematics.
    names = [shorten(task.class_names[number], 26).replace("$", r"\$") for number in numbers]
    return [
        Patch(color=tuple(colours[number]), label=f"{task.name}: {name}")
        for number, name in zip(numbers, names, strict=True)
    ]


def _draw_task(above: Axes, below: Axes, task: Task, maps: Maps, path: Path) -> None:
    """Prediction over truth in one range of colours, with a bar where the colours are a scale."""
    prediction, target, valid = maps
    try:
        ends = own_range(task, target[valid] if valid.any() else prediction)
        above.imshow(colourise(task, prediction, None, ends))
        below.imshow(colourise(task, target, valid, ends))
    except (ValueError, IndexError, TypeError) as error:
        raise RunError(f"{path}: {error} Evaluate the run again.") from error
    if task.display not in _LEGEND:
        scale = ScalarMappable(Normalize(*ends), task.display)
        bar = below.figure.colorbar(scale, ax=below, location="bottom", ticks=ends, format="%.3g", shrink=0.7)
        bar.set_label(task.unit if task.target == "scalar" else "", labelpad=-8)
