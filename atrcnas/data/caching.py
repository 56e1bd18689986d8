"""Decoded samples kept in memory, up to a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from atrcnas.data.sample import Sample, Source


class Cached:
    """A data set that keeps its samples in memory, in order of first access, until the bound is reached.

    The first samples are kept, not the latest: in passes over the whole data set the sample seen last is also the one
    needed last, so that a cache of the latest would hold the wrong ones. Every loader process has its own cache, filled
    with what passed through it.

    Args:
        source: the data set.
        max_bytes: of image, targets and masks of all kept samples, in this process.
    """

    def __init__(self, source: Source, max_bytes: int) -> None:
        self.source, self.max_bytes = source, max_bytes
        self.class_names: Mapping[str, Sequence[str]] = source.class_names
        self.num_bytes = 0
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        """The sample; its arrays cannot be written to once it is kept."""
        if index in self._kept:
            return self._kept[index]
        sample = _owning(self.source[index])
        arrays = [sample.image, *sample.targets.values(), *sample.valid.values()]
        size = sum(array.nbytes for array in arrays)
        if self.num_bytes + size <= self.max_bytes:
            for array in arrays:
                array.flags.writeable = False
            self._kept[index] = sample
            self.num_bytes += size
        return sample


def _owning(sample: Sample) -> Sample:
    """The sample without views, which would keep the arrays they are views of alive."""

    def own(array: np.ndarray) -> np.ndarray:
        return array if array.base is None else array.copy()

    targets = {name: own(array) for name, array in sample.targets.items()}
    return Sample(sample.name, own(sample.image), targets, {name: own(array) for name, array in sample.valid.items()})
