"""Means over two real processes, and losses whose mean over processes is the loss of their whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist

from atrcnas.ground.registry import resolve
from atrcnas.objectives.averaging import average, mean_over_processes, num_processes
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.tasks import TASKS
from tests.unit.objectives.conftest import InTwo, make_example


def test_one_process_averages_nothing() -> None:
    weight = torch.ones(2, requires_grad=True)
    assert num_processes() == 1
    assert mean_over_processes(weight) is weight
    average([weight])
    assert weight.tolist() == [1, 1]


def own_and_mean(rank: int) -> Any:
    own = torch.tensor([1.0, 10.0 * rank], requires_grad=True)
    mean = mean_over_processes(own)
    return num_processes(), mean.tolist(), own.tolist(), mean.requires_grad


def test_a_mean_over_processes_leaves_its_argument_and_has_no_gradient(in_two: InTwo) -> None:
    assert in_two(own_and_mean) == [(2, [1, 5], [1, 10 * rank], False) for rank in (0, 1)]


def averaged(rank: int) -> Any:
    exchanged = []
    plain = dist.all_reduce
    dist.all_reduce = lambda x, *options: exchanged.append(x.dtype) or plain(x, *options)
    weight = torch.full((2, 3), float(rank), requires_grad=True)
    transposed = (torch.arange(6.0).reshape(2, 3) + 4 * rank).T
    double = torch.tensor(2.0 + rank, dtype=torch.float64)
    count = torch.tensor([7 + rank])
    average([weight, count, double, transposed])
    return weight.tolist(), transposed.tolist(), double.item(), count.item(), exchanged


def test_average_replaces_floating_tensors_of_any_shape_in_one_exchange_per_dtype(in_two: InTwo) -> None:
    for rank, (weight, transposed, double, count, exchanged) in enumerate(in_two(averaged)):
        assert weight == [[0.5] * 3] * 2
        assert transposed == [[2, 5], [3, 6], [4, 7]]
        assert double == 2.5
        assert count == 7 + rank, "whole numbers are counted alike in every process, and have no mean"
        assert exchanged == [torch.float32, torch.float64]


MOST = (None, 1, 0)  # valid pixels in both processes together


def losses(images: slice, most: int | None) -> dict[str, float]:
    """Of some of four images, of every task."""
    found = {}
    for name in TASKS.names:
        example = make_example(TASKS[name], batch=4, dtype=torch.float64)
        example.valid[:2, 1:] = False
        task, target = example.task, example.target[images].to(torch.float64 if example.target.ndim == 4 else None)
        count = example.valid.flatten().cumsum(0).view_as(example.valid)
        valid = (example.valid if most is None else example.valid & (count <= most))[images]
        labels = resolve(LABEL_ENCODERS[task.label_encoder].encode)(target, valid, task.num_labels, None)
        options = task.loss_options
        found[name] = resolve(LOSSES[task.loss].function)(example.raw[images], target, valid, **options).item()
        found[f"{name}: labels"] = resolve(LOSSES[task.label_loss].function)(
            example.label_logits[images], labels, valid, **options
        ).item()
    return found


def losses_of_half(rank: int) -> list[dict[str, float]]:
    return [losses(slice(2 * rank, 2 * rank + 2), most) for most in MOST]


def test_the_mean_of_the_losses_is_the_loss_of_the_whole_batch(in_two: InTwo) -> None:
    """Also where one process has hardly a valid pixel, or both together have one or none."""
    first, second = in_two(losses_of_half)
    for i, most in enumerate(MOST):
        for name, loss in losses(slice(0, 4), most).items():
            assert (first[i][name] + second[i][name]) / 2 == pytest.approx(loss, rel=1e-12), name
