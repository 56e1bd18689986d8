"""Every loss of the task table: only valid pixels count, none give 0, and nothing needs the host."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from atrcnas.ground.registry import resolve
from atrcnas.objectives.objective import Objective
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.tasks import TASKS

KINDS = ("loss", "label_loss")
FIXED_ARGUMENTS = ("prediction", "target", "valid")
HOST_OPS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero", "aten::equal")


def evaluate(example: Any, kind: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A loss and its gradient with respect to the network's output."""
    task = example.task
    output = (example.raw if kind == "loss" else example.label_logits).to(dtype).requires_grad_()
    target = example.target
    if kind == "label_loss":
        target = resolve(LABEL_ENCODERS[task.label_encoder].encode)(target, example.valid, task.num_labels, None)
    loss = resolve(LOSSES[getattr(task, kind)].function)(output, target, example.valid, **task.loss_options)
    return loss.detach(), torch.autograd.grad(loss, output)[0]


class NoHostOps(TorchDispatchMode):
    """Fails on any operation that would make a GPU wait for the host or has a data-dependent shape."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.name().split(".")[0] not in HOST_OPS, func.name()
        indices = args[1] if func.name().startswith("aten::index.") else []
        assert not any(index is not None and index.dtype == torch.bool for index in indices), "boolean mask indexing"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_a_finite_positive_scalar_with_a_gradient(example: Any, kind: str) -> None:
    loss, gradient = evaluate(example, kind)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert loss > 0
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_valid_pixel_gives_zero_loss_and_zero_gradient(example: Any, kind: str) -> None:
    empty = replace(example, valid=torch.zeros_like(example.valid)).with_other_invalid_pixels()
    loss, gradient = evaluate(empty, kind)
    assert loss == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_pixels_have_no_influence(example: Any, kind: str) -> None:
    loss, gradient = evaluate(example, kind)
    other_loss, other_gradient = evaluate(example.with_other_invalid_pixels(), kind)
    assert torch.equal(loss, other_loss)
    assert torch.equal(gradient, other_gradient)
    assert (gradient.movedim(1, -1)[~example.valid] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_output_is_averaged_in_single_precision(example: Any, kind: str) -> None:
    exact, _ = evaluate(example, kind)
    with torch.autocast("cpu", torch.bfloat16):
        loss, gradient = evaluate(example, kind, torch.bfloat16)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(loss, exact, rtol=5e-3, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_reads_nothing_on_the_host(example: Any, kind: str) -> None:
    with NoHostOps():
        evaluate(example, kind)


def test_the_watch_for_host_operations_sees_them() -> None:
    values = torch.arange(4.0)
    for offence in (lambda: values.sum().item(), lambda: values[values > 1], lambda: bool(values.sum())):
        with pytest.raises(AssertionError), NoHostOps():
            offence()


def test_sizes_that_would_broadcast_are_refused(example: Any) -> None:
    task = example.task
    wrong = example.target[:, None] if example.target.ndim == 3 else example.target[:, 0]
    with pytest.raises(ValueError, match="Expected target"):
        resolve(LOSSES[task.loss].function)(example.raw, wrong, example.valid, **task.loss_options)


@pytest.mark.parametrize("name", LOSSES.names)
def test_each_loss_takes_the_options_it_declares(name: str) -> None:
    declared = set(LOSSES[name].options.model_fields)
    assert set(inspect.signature(resolve(LOSSES[name].function)).parameters) == {*FIXED_ARGUMENTS, *declared}


def test_coarse_logits_are_resized_straight_to_the_targets_size() -> None:
    """Strides round up: an image of 21x30 has a map of 3x4 at level 8, which covers more than the image."""
    raw, target = torch.rand(1, 1, 3, 4), torch.rand(1, 1, 21, 30)
    valid = torch.ones(1, 21, 30, dtype=torch.bool)
    task = replace(TASKS["depth"], weight=1.0)
    total, _ = Objective({"depth": task})({}, {}, {("depth", 8): raw}, {"depth": target}, {"depth": valid})
    enlarged = torch.nn.functional.interpolate(raw, (21, 30), mode="bilinear", align_corners=False)
    assert total.item() == pytest.approx((enlarged - target).abs().mean().item(), rel=1e-6)


def test_balance_follows_the_share_of_foreground_in_the_batch() -> None:
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    target[0, 0, 0] = 1
    loss = resolve(LOSSES["balanced_cross_entropy"].function)(torch.zeros(1, 2, 2, 2), target, target >= 0)
    weights = torch.tensor([0.75, 0.25, 0.25, 0.25])
    torch.testing.assert_close(loss, weights.mean() * torch.log(torch.tensor(2.0)))


@pytest.mark.parametrize("name", [loss.name for loss in LOSSES if "positive_weight" in loss.options.model_fields])
def test_an_edge_weighs_95_percent_unless_asked_otherwise(name: str) -> None:
    torch.manual_seed(0)
    channels = 1 if name == "balanced_bce" else 2
    batch = torch.randn(1, channels, 4, 4), torch.randint(0, 2, (1, 4, 4)), torch.ones(1, 4, 4, dtype=torch.bool)
    assert resolve(LOSSES[name].function)(*batch) == resolve(LOSSES[name].function)(*batch, positive_weight=0.95)


def test_a_single_valid_pixel_is_the_mean() -> None:
    valid = torch.zeros(1, 2, 2, dtype=torch.bool)
    valid[0, 1, 0] = True
    prediction = torch.tensor([1.0, 2.0, 5.0, 4.0]).view(1, 1, 2, 2)
    assert resolve(LOSSES["l1"].function)(prediction, torch.zeros(1, 1, 2, 2), valid) == 5
