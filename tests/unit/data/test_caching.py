"""The cache of decoded samples changes nothing but the time, and keeps to its bound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from atrcnas import Experiment
from atrcnas.data.batch import Batch
from atrcnas.data.caching import Cached
from atrcnas.data.loading import open_source, training_loader
from atrcnas.data.sample import Sample
from tests.conftest import TINY


class Numbered:
    """Samples of 8 x 8 pixels, all views of larger arrays, that count how often each is asked for."""

    class_names = {"semseg": ("a", "b")}

    def __init__(self, num_samples: int = 10) -> None:
        self.asked = [0] * num_samples

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, index: int) -> Sample:
        self.asked[index] += 1
        plane = np.full((16, 8), index)
        image = np.full((8, 8, 6), index, np.uint8)[..., :3]
        return Sample(str(index), image, {"semseg": plane[:8]}, {"semseg": plane[:8] >= 0})


SAMPLE_BYTES = 64 * (3 + 8 + 1)


def test_bound_is_kept_and_what_came_first_stays() -> None:
    source = Numbered()
    cached = Cached(source, 4 * SAMPLE_BYTES + SAMPLE_BYTES // 2)
    for _ in range(3):
        for index in (7, 1, 3, 5, 0, 2, 4, 6, 8, 9):
            assert (cached[index].image == index).all() and cached[index].name == str(index)
    assert cached.num_bytes == 4 * SAMPLE_BYTES
    assert [source.asked[index] for index in (7, 1, 3, 5)] == [1] * 4
    assert min(source.asked[index] for index in (0, 2, 4, 6, 8, 9)) == 6


def test_nothing_larger_than_the_sample_is_kept_alive_and_nobody_can_write_to_it() -> None:
    kept = Cached(Numbered(), SAMPLE_BYTES)[3]
    arrays = [kept.image, kept.targets["semseg"], kept.valid["semseg"]]
    assert all(array.base is None for array in arrays)
    with pytest.raises(ValueError, match="read-only"):
        kept.image[0] = 0


def same(a: Batch, b: Batch) -> bool:
    pairs = [(a.image, b.image), *((a.targets[k], b.targets[k]) for k in a.targets)]
    pairs += [(a.valid[k], b.valid[k]) for k in a.valid]
    return a.names == b.names and all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_without_a_cache(workers: int) -> None:
    options = {"data.options.train_size": 6, "data.workers": workers}
    batches = []
    for cache_mib in (0, 1):
        chosen = [f"{key}={value}" for key, value in {**options, "data.cache_mib": cache_mib}.items()]
        experiment = Experiment.load(TINY, chosen)
        source = open_source(experiment, "train")
        batches.append(list(training_loader(experiment, source, range(6), 4, 6)))
    assert len(batches[0]) == 6
    assert all(same(a, b) for a, b in zip(*batches, strict=True))
    assert not any(same(a, b) for a, b in pairwise(batches[0]))
