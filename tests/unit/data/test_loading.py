"""Which samples make up a batch, and how they are put on one canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from atrcnas.data.batch import Batch, collate
from atrcnas.data.loading import validation_loader
from atrcnas.data.order import StepBatches
from atrcnas.data.sample import Sample
from atrcnas.data.transforms import place_centred
from atrcnas.engine.scores import Scores
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS

SEED = 5


def drawn(num: int, batch: int, steps: int, **options: Any) -> list[list[int]]:
    """The samples of each step."""
    return [[index for index, _ in step] for step in StepBatches(range(num), batch, steps, seed=SEED, **options)]


def test_by_default_batches_span_passes_and_every_pass_has_every_sample() -> None:
    flat = [index for step in drawn(10, 4, 10) for index in step]
    assert [sorted(flat[turn : turn + 10]) for turn in range(0, 40, 10)] == [list(range(10))] * 4


def test_with_drop_last_a_batch_never_holds_an_image_twice_and_passes_have_whole_batches_only() -> None:
    steps = drawn(10, 4, 40, drop_last=True)
    passes = [[*steps[i], *steps[i + 1]] for i in range(0, 40, 2)]
    assert all(len(set(found)) == 8 for found in passes)
    # As of 795 images in batches of eight: 99 batches a pass.
    assert len({tuple(sorted(found)) for found in passes}) > 5, "another two are left out each time"
    assert any(len(set(step)) < 4 for step in drawn(10, 4, 40)), "where batches span passes they may"


def test_less_than_a_batch_is_drawn_again_whatever_drop_last_says() -> None:
    assert drawn(3, 4, 9, drop_last=True) == drawn(3, 4, 9)


@pytest.mark.parametrize("first", [1, 7])
def test_a_resumed_run_continues_with_the_same_batches(first: int) -> None:
    labelled = [range(2), range(5, 7)]
    whole = drawn(20, 4, 12, labelled=labelled, drop_last=True)
    assert drawn(20, 4, 12, labelled=labelled, drop_last=True, first=first) == whole[first:]


def test_processes_share_one_batch() -> None:
    labelled = [range(1)]
    whole = drawn(20, 4, 6, labelled=labelled)
    halves = [drawn(20, 4, 6, labelled=labelled, rank=rank, world=2) for rank in range(2)]
    assert [[a, b, c, d] for (a, c), (b, d) in zip(*halves, strict=True)] == whole


def test_every_batch_has_a_labelled_image_of_each_task() -> None:
    labelled = [[3], [40, 41], range(50, 90)]
    steps = drawn(100, 4, 200, labelled=labelled)
    assert all(set(step) & set(task) for step in steps for task in labelled)
    plain = drawn(100, 4, 200)
    assert not all(set(step) & {3} for step in plain)
    changed = [sum(a != b for a, b in zip(one, two, strict=True)) for one, two in zip(steps, plain, strict=True)]
    assert max(changed) <= 3, "no more images give way than tasks lack one"
    assert {40, 41} <= {index for step in steps for index in step}, "each labelled image has its turn"


def test_without_room_for_all_tasks_as_many_as_fit_are_labelled() -> None:
    labelled = [[0], [1], [2]]
    for step in drawn(100, 2, 100, labelled=labelled):
        assert len(set(step) & {0, 1, 2}) == 2
    assert drawn(10, 2, 20, labelled=[[], range(10)]) == drawn(10, 2, 20), "none, or all, ask for nothing"
    assert drawn(10, 2, 20, labelled=[[99]]) == drawn(10, 2, 20), "nor do those of the other half of the split"


class Small:
    """Two images of different size, their pixels numbered."""

    class_names: dict[str, tuple[str, ...]] = {}
    shapes = ((24, 33), (40, 48))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        shape = self.shapes[index]
        edge = (np.arange(shape[0] * shape[1]).reshape(shape) % 7 == 0).astype(np.int64)
        return Sample(
            str(index), np.full((*shape, 3), 50, np.uint8), {"edge": edge}, {"edge": np.ones(shape, np.bool_)}
        )


def edges(pad_to: Any) -> list[Batch]:
    experiment = Experiment.load({"tasks": ["edge"], "data": {"name": "rooms", "pad_to": pad_to}, "devices": "cpu"})
    return list(validation_loader(experiment, Small(), 1))


def test_smaller_validation_images_are_centred_on_the_canvas_and_larger_ones_left_as_they_are() -> None:
    small, large = edges([32, 40])
    assert tuple(small.image.shape[-2:]) == (32, 40)
    assert (small.sizes, small.corners) == ([(24, 33)], [(4, 3)])
    inside = small.window(0)
    assert small.image_valid is not None
    assert bool(small.image_valid[0, 0][inside].all())
    assert int(small.image_valid.sum()) == 24 * 33
    assert torch.equal(small.targets["edge"][0][inside], torch.from_numpy(Small()[0].targets["edge"]))
    assert tuple(large.image.shape[-2:]) == (40, 48)
    assert large.image_valid is None
    assert [tuple(batch.image.shape[-2:]) for batch in edges(None)] == list(Small.shapes)


def test_a_batch_that_is_widened_is_as_if_a_larger_image_were_in_it() -> None:
    tasks = {"edge": TASKS["edge"]}
    small, large = (place_centred(Small()[i], (1, 1)) for i in range(2))
    both, widened = collate([small, large], tasks), collate([small], tasks).widened(40, 48)
    assert both.image_valid is not None and widened.image_valid is not None
    for one, other in (
        (both.image, widened.image),
        (both.image_valid, widened.image_valid),
        (both.targets["edge"], widened.targets["edge"]),
        (both.valid["edge"], widened.valid["edge"]),
    ):
        assert torch.equal(one[:1], other)
    assert (widened.sizes, widened.corners) == ([(24, 33)], [(0, 0)])
    assert widened.widened(40, 48) is widened


def test_scores_are_those_of_the_images_without_padding() -> None:
    """Boundary matching tolerates a share of the image's own diagonal, not of the canvas'."""
    figures = []
    for pad_to in (None, [90, 120]):
        scores = Scores({"edge": TASKS["edge"].with_options(options={"max_dist": 0.03})}, torch.device("cpu"))
        for batch in edges(pad_to):
            decoded = torch.full(batch.image[:, 0].shape, 0.9)
            rows, columns = batch.window(0)
            near = torch.from_numpy(Small()[int(batch.names[0])].targets["edge"]).float().roll(1, 1)
            decoded[0, rows, columns] = near
            scores.add("edge", decoded, batch)
        figures.append(scores.compute()["edge"])
    assert figures[1] == pytest.approx(figures[0], rel=1e-12)
