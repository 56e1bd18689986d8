"""What the labels of a split are like, summed up while it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.spec.tasks import Task


@dataclass(frozen=True)
class SplitReport:
    """What reading every sample of a split has shown; shares are in [0, 1], of what could be read.

    Attributes:
        num_samples: samples in the split.
        problems: one line per fault, each naming its file or sample.
        class_shares: class task -> share of each class among its labelled pixels; all 0 if there are none.
        missing_shares: task -> share of pixels without ground truth.
        labelled_shares: task -> share of images with ground truth anywhere.
        ranges: scalar task -> smallest and largest value, in the task's unit; absent if there are none.
        lengths: vector task -> shortest and longest vector where there is ground truth; absent if there are none.
        image_sizes: (height, width) -> number of images.
        stored: the data set's own words on the layout of its files; "" if it has none.
    """

    num_samples: int
    problems: list[str]
    class_shares: dict[str, tuple[float, ...]]
    missing_shares: dict[str, float]
    labelled_shares: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    lengths: dict[str, tuple[float, float]]
    image_sizes: Mapping[tuple[int, int], int]
    stored: str = ""


class Tally:
    """Running sums over the maps of one task.

    Args:
        task: with its class count known.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.counts = np.zeros(task.num_labels if task.target == "classes" else 0, np.int64)
        self.num_maps = self.num_labelled = 0
        self.num_pixels = self.num_valid = 0
        self.limits: tuple[float, float] | None = None

    def add(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        """Count one map: [H, W] classes or scalars, or [H, W, 3] vectors; read only where ``valid``, [H, W] bool."""
        labelled = values[valid]
        self.num_maps += 1
        self.num_labelled += bool(len(labelled))
        self.num_pixels += valid.size
        self.num_valid += len(labelled)
        if self.task.target == "classes":
            self.counts += np.bincount(labelled, minlength=self.counts.size)
        elif labelled.size:
            measured = labelled if labelled.ndim == 1 else np.sqrt(np.square(labelled, dtype=np.float64).sum(axis=1))
            seen = [*(self.limits or ()), float(measured.min()), float(measured.max())]
            self.limits = (min(seen), max(seen))


def sum_up(
    tallies: Mapping[str, Tally],
    num_samples: int,
    problems: list[str],
    sizes: Mapping[tuple[int, int], int],
    stored: str,
) -> SplitReport:
    """Sums of a whole split as shares; the arguments are those of :class:`SplitReport`."""
    read = {name: tally for name, tally in tallies.items() if tally.num_maps}

    def limits(target: str) -> dict[str, tuple[float, float]]:
        return {name: tally.limits for name, tally in read.items() if tally.limits and tally.task.target == target}

    return SplitReport(
        num_samples=num_samples,
        problems=problems,
        class_shares={
            name: tuple((tally.counts / max(tally.num_valid, 1)).tolist())
            for name, tally in tallies.items()
            if tally.task.target == "classes"
        },
        missing_shares={name: 1.0 - tally.num_valid / tally.num_pixels for name, tally in read.items()},
        labelled_shares={name: tally.num_labelled / tally.num_maps for name, tally in read.items()},
        ranges=limits("scalar"),
        lengths=limits("vector"),
        image_sizes=sizes,
        stored=stored,
    )
