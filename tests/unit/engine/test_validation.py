"""Validation scores each image at its own size, whatever it was batched with, and once over all processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from atrcnas import Experiment
from atrcnas.data.batch import Batch
from atrcnas.data.loading import open_source, validation_loader
from atrcnas.engine.scores import Scores
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.tasks import TASKS
from tests.conftest import TINY
from tests.unit.objectives.conftest import make_example

SIZES = [(18, 22), (12, 22), (18, 14), (12, 22)]
TOLERANCE = 0.055  # of the diagonal: a diagonal neighbour is within it in the largest of these images only


def scored(example: Any, groups: list[list[int]]) -> dict[str, float]:
    """Figures after validation batches of the images in ``groups``, each padded to the largest of its group."""
    name = example.task.name
    scores = Scores({name: example.task}, torch.device("cpu"))
    for group in groups:
        sizes = [SIZES[i] for i in group]
        cut = (group, ..., slice(max(h for h, _ in sizes)), slice(max(w for _, w in sizes)))
        target, valid, decoded = example.target[cut], example.valid[cut].clone(), example.decoded[cut]
        for one, (height, width) in zip(valid, sizes, strict=True):
            one[height:], one[:, width:] = False, False
        batch = Batch(torch.empty(0), None, {name: target}, {name: valid}, [], sizes)
        scores.add(name, decoded, batch)
    return scores.compute()[name]


@pytest.mark.parametrize("name", TASKS.names)
@pytest.mark.parametrize("groups", [[[0, 1, 2, 3]], [[1, 3], [0, 2]], [[3], [2, 1], [0]]])
def test_scores_do_not_depend_on_what_an_image_is_padded_with(name: str, groups: list[list[int]]) -> None:
    options = TASKS[name].metric_options
    wide = replace(TASKS[name], metric_options=options | {"max_dist": TOLERANCE} if "max_dist" in options else options)
    example = make_example(wide, batch=len(SIZES))
    assert scored(example, groups) == pytest.approx(scored(example, [[0], [1], [2], [3]]), rel=1e-12, abs=0)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_every_sample_is_validated_once_over_all_processes(world: int) -> None:
    experiment = Experiment.load(TINY)
    source = open_source(experiment, "val")
    loaders = [validation_loader(experiment, source, 2, rank, world) for rank in range(world)]
    names = [name for loader in loaders for batch in loader for name in batch.names]
    assert sorted(names) == sorted(source[i].name for i in range(len(source)))
    assert all(len(loader) for loader in loaders)


def test_more_processes_than_samples_are_refused_on_every_one() -> None:
    experiment = Experiment.load(TINY)
    for rank in range(5):
        with pytest.raises(ConfigError, match=r"5 processes, .* 4 samples"):
            validation_loader(experiment, open_source(experiment, "val"), 2, rank, 5)
