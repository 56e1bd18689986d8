"""Reading a whole split once, for `atrcnas data check`: faults inside the files, and what the labels are like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.folder_files import Entry
from atrcnas.data.reading import read_image
from atrcnas.data.targets import TargetReader
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import Task


@dataclass(frozen=True)
class ValueReport:
    """What reading every file of a split has shown.

    Attributes:
        num_samples: samples in the split.
        problems: one line per fault, each naming its file.
        class_shares: class task -> share in [0, 1] of each class among its labelled pixels; all 0 if there are none.
        missing_shares: task -> share in [0, 1] of pixels without ground truth among the files that could be read.
        ranges: scalar task -> smallest and largest value, in the task's unit; absent if there are none.
        lengths: vector task -> shortest and longest vector where there is ground truth; absent if there are none.
    """

    num_samples: int
    problems: list[str]
    class_shares: dict[str, tuple[float, ...]]
    missing_shares: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    lengths: dict[str, tuple[float, float]] = field(default_factory=dict)


class Tally:
    """Running sums over the maps of one task.

    Args:
        task: with its class count known.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.counts = np.zeros(task.num_labels if task.target == "classes" else 0, np.int64)
        self.num_pixels = 0
        self.num_valid = 0
        self.limits: tuple[float, float] | None = None

    def add(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        """Count one map: [H, W] classes or scalars, or [H, W, 3] vectors; read only where ``valid``, [H, W] bool."""
        labelled = values[valid]
        self.num_pixels += valid.size
        self.num_valid += len(labelled)
        if self.task.target == "classes":
            self.counts += np.bincount(labelled, minlength=self.counts.size)
        elif labelled.size:
            measured = labelled if labelled.ndim == 1 else np.sqrt(np.square(labelled, dtype=np.float64).sum(axis=1))
            seen = [*(self.limits or ()), float(measured.min()), float(measured.max())]
            self.limits = (min(seen), max(seen))


def report(num_samples: int, problems: list[str], tallies: Mapping[str, Tally]) -> ValueReport:
    """Sums of a whole split in shares."""
    return ValueReport(
        num_samples=num_samples,
        problems=problems,
        class_shares={
            name: tuple((tally.counts / max(tally.num_valid, 1)).tolist())
            for name, tally in tallies.items()
            if tally.task.target == "classes"
        },
        missing_shares={
            name: 1.0 - tally.num_valid / tally.num_pixels for name, tally in tallies.items() if tally.num_pixels
        },
        ranges=_limits(tallies, "scalar"),
        lengths=_limits(tallies, "vector"),
    )


def _limits(tallies: Mapping[str, Tally], target: str) -> dict[str, tuple[float, float]]:
    return {name: tally.limits for name, tally in tallies.items() if tally.limits and tally.task.target == target}


def check_values(
    entries: Sequence[Entry],
    readers: Mapping[str, TargetReader],
    max_pixels: int,
    on_sample: Callable[[int], None] | None = None,
) -> ValueReport:
    """Decode every image and target of a split.

    Args:
        entries: the split.
        readers: task -> its reader.
        max_pixels: larger images are refused.
        on_sample: called with the number of samples done, for a progress bar.

    Returns:
        The faults, and statistics over all files without one.
    """
    problems: list[str] = []
    tallies = {name: Tally(reader.task) for name, reader in readers.items()}
    for done, entry in enumerate(entries, start=1):
        try:
            read_image(entry.image, max_pixels)
        except DataError as error:
            problems.append(str(error))
        for name, reader in readers.items():
            _check_target(entry.targets[name], reader, tallies[name], problems)
        if on_sample is not None:
            on_sample(done)
    return report(len(entries), problems, tallies)


def _check_target(path: Path, reader: TargetReader, tally: Tally, problems: list[str]) -> None:
    try:
        raw = reader.read_raw(path)
        values, valid = reader.decode(raw, path)
    except DataError as error:
        problems.append(str(error))
        return
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        count = int((~np.isfinite(raw)).sum())
        problems.append(
            f"{path}: expected finite numbers, got {count} that are not. They are read as missing; "
            f"store {reader.missing:g} there if that is meant."
        )
    if not valid.any():
        problems.append(
            f"{path}: expected ground truth somewhere, got a file in which all is missing. "
            f"Correct data.options.values.{reader.task.name}.missing, or remove the sample."
        )
    tally.add(values, valid)
