"""What the network sees: input, then for every task the prediction over the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from atrcnas.plots.canvas import FAINT, LINE_IN, SMALL_SIZE, TITLE_SIZE, save, styled, text_width, wrap
from atrcnas.plots.colourise import Range, missing_pattern
from atrcnas.plots.page import Page
from atrcnas.plots.samples import Sample, read_sample, sample_files
from atrcnas.spec.tasks import TASKS, Task

_MARGIN, _ROW_NAMES, _TILE, _GAP, _SAMPLE_GAP, _BAR = 0.3, 0.32, 1.6, 0.06, 0.26, 0.28
_NAME_LINE = 0.16


def draw_gallery(samples_dir: Path, max_samples: int = 4) -> Figure:
    """Draw two rows a sample: predictions above, truth below; the input beside both.

    Args:
        samples_dir: folder of ``*.npz`` as the evaluation writes them; the first by name are drawn.
        max_samples: at most so many.

    Raises:
        RunError: no samples, or one that is damaged or of an unknown task.
    """
    samples = [read_sample(path) for path in sample_files(samples_dir, max_samples)]
    tasks = list(dict.fromkeys(task for sample in samples for task in sample.tasks))
    # Drawn first, so that unknown tasks are told with the file's name before anything else looks them up.
    pictures = [{task: sample.pictures(task) for task in sample.tasks} for sample in samples]
    names = {task: wrap(task, _TILE - 0.1, weight="bold") for task in tasks}
    inner = _ROW_NAMES + (len(tasks) + 1) * (_TILE + _GAP) - _GAP
    notes = [line for note in _notes(tasks) for line in wrap(note, inner, SMALL_SIZE)]
    title = wrap("Predictions and ground truth", inner, TITLE_SIZE, "bold")
    header_top = _MARGIN + 0.22 * len(title) + 0.12
    tiles_top = header_top + _NAME_LINE * max(len(lines) for lines in names.values()) + 0.06
    barred = any(_has_bar(TASKS[task]) for task in tasks)
    heights = [2 * _tile_height(sample) + _GAP + _SAMPLE_GAP + (_BAR if barred else 0) for sample in samples]
    notes_top = tiles_top + sum(heights) + 0.02
    with styled():
        page = Page(inner + 2 * _MARGIN, notes_top + 0.05 + LINE_IN * len(notes) + _MARGIN)
        for index, line in enumerate(title):
            page.text(_MARGIN, _MARGIN + 0.08 + 0.22 * index, line, TITLE_SIZE, weight="bold")
        for index, lines in enumerate([["input"], *names.values()]):
            options: dict[str, Any] = {"ha": "center", "va": "bottom", "weight": "bold"}
            page.text(_column(index) + _TILE / 2, tiles_top - 0.06, "\n".join(lines), name="column", **options)
        for index, sample in enumerate(samples):
            _draw_sample(page, sample, pictures[index], tasks, tiles_top + sum(heights[:index]))
        _draw_missing_key(page, notes_top)
        for index, line in enumerate(notes):
            page.text(_MARGIN + (0.3 if index == 0 else 0), notes_top + LINE_IN * index, line, SMALL_SIZE, color=FAINT)
    return page.figure


def plot_gallery(samples_dir: Path, path: Path, max_samples: int = 4) -> Path:
    """Write :func:`draw_gallery` to ``path``."""
    return save(draw_gallery(samples_dir, max_samples), path)


def _column(index: int) -> float:
    return _MARGIN + _ROW_NAMES + index * (_TILE + _GAP)


def _tile_height(sample: Sample) -> float:
    """Keeps the image's shape, within reason for very tall or very wide ones."""
    return _TILE * float(np.clip(sample.image.shape[0] / sample.image.shape[1], 0.4, 2.0))


def _has_bar(task: Task) -> bool:
    return task.display not in ("palette", "vector")


def _draw_sample(
    page: Page,
    sample: Sample,
    pictures: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8], Range]],
    tasks: Sequence[str],
    top: float,
) -> None:
    height = _tile_height(sample)
    second = top + height + _GAP
    for text, middle in (("prediction", top + height / 2), ("truth", second + height / 2)):
        page.text(_MARGIN + 0.12, middle, text, SMALL_SIZE, ha="center", rotation=90, color=FAINT)
    page.picture(_column(0), top, _TILE, height, sample.image)
    name = wrap(sample.path.stem, _TILE, SMALL_SIZE)[0]
    page.text(_column(0) + _TILE / 2, second + 0.08, name, SMALL_SIZE, ha="center", color=FAINT)
    for index, task in enumerate(tasks, start=1):
        if task not in pictures:
            continue
        prediction, truth, value_range = pictures[task]
        page.picture(_column(index), top, _TILE, height, prediction)
        page.picture(_column(index), second, _TILE, height, truth)
        if _has_bar(TASKS[task]):
            _draw_bar(page, TASKS[task], value_range, _column(index), second + height + 0.06)


def _draw_bar(page: Page, task: Task, value_range: Range, left: float, top: float) -> None:
    """A colour bar with the values at its two ends, shared by prediction and truth."""
    low, high = (f"{value:.3g}" for value in value_range)
    unit = f" {task.unit}" if task.target == "scalar" and task.unit else ""
    low_width, high_width = text_width(low, SMALL_SIZE), text_width(high + unit, SMALL_SIZE)
    left, width = left + 0.05, _TILE - 0.1
    page.text(left, top + 0.06, low, SMALL_SIZE, color=FAINT)
    page.text(left + width, top + 0.06, high + unit, SMALL_SIZE, ha="right", color=FAINT)
    ramp: NDArray[Any] = colormaps[task.display](np.linspace(0, 1, 128))[None, :, :3]
    bar_left = left + low_width + 0.07
    bar_width = width - low_width - high_width - 0.14
    page.picture(bar_left, top + 0.015, bar_width, 0.09, np.round(ramp * 255).astype(np.uint8))


def _draw_missing_key(page: Page, top: float) -> None:
    page.picture(_MARGIN, top - 0.06, 0.22, 0.12, missing_pattern(12, 22))


def _notes(tasks: Sequence[str]) -> list[str]:
    """How to read the colours: the first line belongs to the striped swatch."""
    records = [TASKS[task] for task in tasks]
    notes = ["striped grey: no ground truth, not scored"]
    by_class = [task.name for task in records if task.display == "palette"]
    vectors = [task.name for task in records if task.display == "vector"]
    if by_class:
        notes.append(f"{', '.join(by_class)}: one colour a class, the same in prediction, truth and every sample")
    if vectors:
        notes.append(f"{', '.join(vectors)}: red, green, blue = (n + 1) / 2 of the unit vector n")
    for task in filter(_has_bar, records):
        ends = "the sample's own range" if task.display_range is None else "the same range in every sample"
        notes.append(f"{task.name}: {task.description}; {ends}")
    return notes
