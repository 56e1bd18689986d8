"""What the network sees: input, then for every task the prediction over the truth."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from atrcnas.ground.errors import RunError
from atrcnas.plots.canvas import FAINT, SMALL_SIZE, panels, styled
from atrcnas.plots.colourise import colourise, own_range
from atrcnas.plots.registry import known
from atrcnas.plots.samples import Maps, read_sample
from atrcnas.spec.tasks import TASKS, Task

_TILE_IN = 1.8
_LEGEND = {"palette": "one colour per class", "vector": "red, green, blue = (n + 1) / 2 of the unit vector n"}


def draw_gallery(samples_dir: Path, max_samples: int = 4) -> Figure:
    """Draw two rows per sample: predictions above, truth below; the input beside both.

    Args:
        samples_dir: folder of ``*.npz`` as the evaluation writes them; the first by name are drawn.
        max_samples: upper limit.

    Raises:
        RunError: no samples, or one that is damaged or of an unknown task.
    """
    files = sorted(samples_dir.glob("*.npz"))[:max_samples]
    if not files:
        raise RunError(f"{samples_dir}: expected *.npz samples, got none. Evaluate the run first.")
    samples = [read_sample(path) for path in files]
    named = {name: path for path, (_, maps) in zip(files, samples, strict=True) for name in maps}
    tasks = [known(TASKS, name, path) for name, path in named.items()]
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
        figure.supxlabel(lines, x=0.01, ha="left", size=SMALL_SIZE, color=FAINT)
    return figure


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
