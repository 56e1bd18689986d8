"""Reading a whole split of any data set once, for `atrcnas data check`: what cannot be used, and what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.loading import open_source
from atrcnas.data.sample import Sample, Source
from atrcnas.data.tally import SplitReport, Tally, sum_up
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.registry import resolve
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

Progress = Callable[[int, int], None]
# Of a unit vector's length in float32, with room for 16-bit files.
_LENGTH_TOLERANCE = 1e-2


def survey(experiment: Experiment, split: str, on_sample: Progress | None = None) -> SplitReport:
    """Read every sample of a split with all tasks of the experiment.

    Args:
        experiment: the one that names the data set.
        split: ``train`` or ``val``.
        on_sample: called with the numbers of samples done and in all, for a progress bar.

    Returns:
        Every fault, and statistics over all that could be read.

    Raises:
        DataError: the split cannot be opened; each missing file named.
    """
    source = open_source(experiment, split)
    total = len(source)

    def done(number: int) -> None:
        if on_sample is not None:
            on_sample(number, total)

    tasks = experiment.resolved_tasks()
    return survey_samples(source, tasks, lambda task: open_task(experiment, split, task), done)


def open_task(experiment: Experiment, split: str, task: str) -> Source:
    """A split with only one task, the same samples in the same order."""
    tasks = {task: experiment.resolved_tasks()[task]}
    source: Source = resolve(DATASETS[experiment.data.name].source)(experiment.data_options(), split, tasks)
    return source


def survey_samples(
    source: Source,
    tasks: Mapping[str, Task],
    open_one: Callable[[str], Source],
    on_sample: Callable[[int], None] = lambda _: None,
) -> SplitReport:
    """Read every sample of ``source``.

    A sample that cannot be read is read again task by task, so that every fault is reported and its sound tasks still
    count.

    Args:
        source: gives samples with all of ``tasks``.
        tasks: name -> task, with class counts.
        open_one: opens the same split with only one task.
        on_sample: called with the number of samples done.
    """
    tallies = {name: Tally(task) for name, task in tasks.items()}
    problems: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    alone: dict[str, Source] = {}
    for index in range(len(source)):
        found = _read(source, index, list(tasks), tallies, sizes)
        if found and len(tasks) > 1:
            alone = alone or {name: open_one(name) for name in tasks}
            each = [line for name in tasks for line in _read(alone[name], index, [name], tallies, Counter())]
            found = list(dict.fromkeys(each)) or found
        problems += found
        on_sample(index + 1)
    empty = [name for name, tally in tallies.items() if tally.num_pixels and not tally.num_valid]
    problems += [f"{name}: expected ground truth somewhere in the split, got none in any sample." for name in empty]
    return sum_up(tallies, len(source), problems, sizes, getattr(source, "stored", ""))


def _read(
    source: Source, index: int, names: list[str], tallies: Mapping[str, Tally], sizes: Counter[tuple[int, int]]
) -> list[str]:
    """Faults of one sample; without any, it is counted."""
    try:
        sample = source[index]
    except AtrcnasError as error:
        return [str(error)]
    except Exception as error:  # a plugin's reader may raise anything, and the samples after it are still to be read
        return [f"sample {index}: cannot be read ({type(error).__name__}: {error}). Correct the sample or its reader."]
    faults = [line for name in names for line in _faults(sample, tallies[name].task)]
    if not faults:
        sizes[(sample.image.shape[0], sample.image.shape[1])] += 1
        for name in names:
            tallies[name].add(sample.targets[name], sample.valid[name])
    return faults


def _faults(sample: Sample, task: Task) -> list[str]:
    where = f"{sample.name}: {task.name}"
    if task.name not in sample.targets or task.name not in sample.valid:
        return [f"{where}: expected ground truth and its mask, got none. Correct the reader."]
    values, valid = np.asarray(sample.targets[task.name]), np.asarray(sample.valid[task.name])
    shape = sample.image.shape[:2]
    expected = (*shape, 3) if task.target == "vector" else shape
    if values.shape != expected or valid.shape != shape:
        return [
            f"{where}: expected {list(expected)} with a mask {list(shape)}, as the image says, got {list(values.shape)} "
            f"with {list(valid.shape)}. Correct the sample."
        ]
    fault = _value_fault(values[valid], task)
    return [f"{where}: {fault} Correct the sample."] if fault else []


def _value_fault(labelled: npt.NDArray[Any], task: Task) -> str:
    """What is wrong with the values that have ground truth, "" if nothing is."""
    if not labelled.size:
        return ""
    if task.target == "classes":
        low, high = labelled.min(), labelled.max()
        if labelled.dtype.kind not in "iu":
            return f"expected whole class numbers, got {labelled.dtype}."
        return "" if low >= 0 and high < task.num_labels else f"expected 0..{task.num_labels - 1}, got {low}..{high}."
    if not np.isfinite(labelled).all():
        return f"expected finite numbers, got {int((~np.isfinite(labelled)).sum())} that are not."
    if task.target == "vector":
        length = np.sqrt(np.square(labelled, dtype=np.float64).sum(axis=1))
        if np.abs(length - 1).max() > _LENGTH_TOLERANCE:
            return f"expected vectors of length 1, got {length.min():.3f}..{length.max():.3f}."
    return ""
