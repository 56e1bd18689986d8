"""Reading a whole split once, for `atrcnas data check`: faults inside the files, and what the labels are like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.layout import Entry
from atrcnas.data.reading import read_image
from atrcnas.data.targets import TargetReader
from atrcnas.ground.errors import DataError


@dataclass(frozen=True)
class ValueReport:
    """What reading every file of a split has shown.

    Attributes:
        num_samples: samples in the split.
        problems: one line per fault, each naming its file.
        class_shares: class task -> share in [0, 1] of each class among its labelled pixels; all 0 if there are none.
        missing_shares: task -> share in [0, 1] of pixels without ground truth among the files that could be read.
        ranges: scalar task -> smallest and largest value, in the task's unit; absent if there are none.
    """

    num_samples: int
    problems: list[str]
    class_shares: dict[str, tuple[float, ...]]
    missing_shares: dict[str, float]
    ranges: dict[str, tuple[float, float]]


@dataclass
class _Tally:
    """Running sums over the files of one task."""

    counts: npt.NDArray[np.int64]
    num_pixels: int = 0
    num_valid: int = 0
    limits: list[float] = field(default_factory=list)

    def add(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        labelled = values[valid]
        self.num_pixels += valid.size
        self.num_valid += len(labelled)
        if self.counts.size:
            self.counts += np.bincount(labelled, minlength=self.counts.size)
        elif labelled.ndim == 1 and labelled.size:
            seen = [*self.limits, float(labelled.min()), float(labelled.max())]
            self.limits = [min(seen), max(seen)]


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
    tallies = {
        name: _Tally(np.zeros(reader.task.num_labels if reader.task.target == "classes" else 0, np.int64))
        for name, reader in readers.items()
    }
    for done, entry in enumerate(entries, start=1):
        try:
            read_image(entry.image, max_pixels)
        except DataError as error:
            problems.append(str(error))
        for name, reader in readers.items():
            _check_target(entry.targets[name], reader, tallies[name], problems)
        if on_sample is not None:
            on_sample(done)
    return ValueReport(
        num_samples=len(entries),
        problems=problems,
        class_shares={
            name: tuple((tally.counts / max(tally.num_valid, 1)).tolist())
            for name, tally in tallies.items()
            if readers[name].task.target == "classes"
        },
        missing_shares={
            name: 1.0 - tally.num_valid / tally.num_pixels for name, tally in tallies.items() if tally.num_pixels
        },
        ranges={name: (tally.limits[0], tally.limits[1]) for name, tally in tallies.items() if tally.limits},
    )


def _check_target(path: Path, reader: TargetReader, tally: _Tally, problems: list[str]) -> None:
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
