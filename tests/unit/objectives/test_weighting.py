"""Loss weightings against the same method written out with plain torch and NumPy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrcnas.engine.training import build_weighting
from atrcnas.ground.errors import ConfigError
from atrcnas.objectives.averaging import mean_over_processes
from atrcnas.objectives.weighting.base import Weighting
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import TASKS
from tests.unit.objectives.conftest import InTwo

NAMES = ("semseg", "depth", "normals")  # classes, then real numbers
STEPS, RATE = 12, 0.01
ADAPTIVE = [weighting.name for weighting in LOSS_WEIGHTINGS if weighting.name != "fixed"]
EXACT = {"rtol": 0.0, "atol": 1e-12}
Losses = dict[str, Tensor]


class Toy(nn.Module):
    """Three losses of different size and speed through one shared map."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.shared = nn.Parameter(torch.randn(4, 5, generator=generator, dtype=torch.float64))
        self.heads = nn.Parameter(torch.randn(3, 5, generator=generator, dtype=torch.float64))
        self.map = torch.zeros(0)

    def forward(self, step: int, samples: slice = slice(0, 6)) -> Losses:
        generator = torch.Generator().manual_seed(100 + step)
        x = torch.randn(6, 4, generator=generator, dtype=torch.float64)[samples]
        self.map = x @ self.shared
        found = zip(NAMES, self.heads, (0.3, 1.0, 3.0), strict=True)
        return {name: scale * (self.map @ head - 1).square().mean() for name, head, scale in found}


def weighting(name: str, **options: Any) -> Weighting:
    recipe = TrainSpec(steps=STEPS, loss_weighting=name, loss_weighting_options=options)
    return build_weighting({task: TASKS[task] for task in NAMES}, recipe).double()


def train(made: Weighting, steps: Sequence[int] = range(STEPS), net: Toy | None = None, **where: Any) -> Tensor:
    """The weights after training as step.py does it."""
    net = net or Toy()
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    for step in steps:
        losses = net(step, **where)
        plain = torch.stack(list(losses.values())).sum()
        total = made.total(losses, plain)
        made.before_step(losses, [net.map] if made.reads_maps else [])
        optimizer.zero_grad()
        total.backward()
        for parameter in net.parameters():
            parameter.grad = mean_over_processes(parameter.grad)
        optimizer.step()
        detached = {name: loss.detach() for name, loss in losses.items()}
        made.after_step(step, detached, lambda step=step: {k: v.detach() for k, v in net(step, **where).items()})
    return net.shared.detach()


def by_hand(one_step: Callable[[Toy, torch.optim.Optimizer, int, Losses], None]) -> Tensor:
    """The weights after training as ``one_step`` says, which moves them and whatever it learns."""
    net = Toy()
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    for step in range(STEPS):
        one_step(net, optimizer, step, net(step))
    return net.shared.detach()


def descend(optimizer: torch.optim.Optimizer, total: Tensor) -> None:
    optimizer.zero_grad()
    total.backward()
    optimizer.step()


def test_fixed_weights_leave_the_sum_itself() -> None:
    made = weighting("fixed")
    losses = Toy()(0)
    plain = torch.stack(list(losses.values())).sum()
    assert made.total(losses, plain) is plain
    assert not made.report() and not made.state()["tensors"]


def test_uncertainty_is_a_joint_descent_of_weights_and_log_variances() -> None:
    s = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s], 0.05)

    def one_step(net: Toy, optimizer: torch.optim.Optimizer, step: int, losses: Losses) -> None:
        scale = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64)
        adam.zero_grad()
        descend(optimizer, (scale * torch.exp(-s) * torch.stack(list(losses.values())) + s / 2).sum())
        adam.step()

    made = weighting("uncertainty", learning_rate=0.05)
    torch.testing.assert_close(train(made), by_hand(one_step), **EXACT)
    torch.testing.assert_close(made.log_variance.detach(), s.detach(), **EXACT)
    assert s.detach().abs().min() > 0.01


def test_dwa_follows_the_ratios_of_mean_losses() -> None:
    every, temperature = 3, 2.0
    history: list[np.ndarray] = []

    def one_step(net: Toy, optimizer: torch.optim.Optimizer, step: int, losses: Losses) -> None:
        done = len(history) // every
        factors = np.ones(3)
        if done >= 2:
            means = np.array(history[: done * every]).reshape(done, every, 3).mean(1)
            power = np.exp(means[-1] / means[-2] / temperature)
            factors = 3 * power / power.sum()
            assert np.ptp(factors) > 1e-3
        history.append(np.array([float(loss.detach()) for loss in losses.values()]))
        descend(optimizer, sum(f * loss for f, loss in zip(factors.tolist(), losses.values(), strict=True)))

    torch.testing.assert_close(train(weighting("dwa", every=every)), by_hand(one_step), **EXACT)


def test_gradnorm_descends_the_differences_of_gradient_norms() -> None:
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], 0.1)
    first: list[Tensor] = []

    def one_step(net: Toy, optimizer: torch.optim.Optimizer, step: int, losses: Losses) -> None:
        each = torch.stack(list(losses.values()))
        first[:] = first or [each.detach()]
        norms = torch.stack(
            [torch.autograd.grad(w[i] * each[i], net.map, create_graph=True)[0].norm() for i in range(3)]
        )
        rate = each.detach() / first[0]
        target = (norms.mean() * (rate / rate.mean()) ** 0.7).detach()
        (slope,) = torch.autograd.grad((norms - target).abs().sum(), w, retain_graph=True)
        descend(optimizer, (w.detach() * each).sum())
        w.grad = slope
        adam.step()
        with torch.no_grad():
            w.mul_(3 / w.sum())

    made = weighting("gradnorm", alpha=0.7, learning_rate=0.1)
    torch.testing.assert_close(train(made), by_hand(one_step), **EXACT)
    torch.testing.assert_close(made.factors.detach(), w.detach(), **EXACT)
    assert (w.detach() - 1).abs().min() > 0.05


def test_gradnorm_needs_a_backbone_that_is_trained() -> None:
    with pytest.raises(ConfigError, match="gradnorm compares gradients of the backbone"):
        weighting("gradnorm").before_step(Toy()(0), [torch.zeros(2)])


def test_famo_descends_weighted_logarithms_and_then_looks_again() -> None:
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], 0.2, weight_decay=0.01)

    def one_step(net: Toy, optimizer: torch.optim.Optimizer, step: int, losses: Losses) -> None:
        before = torch.stack(list(losses.values()))
        z = w.softmax(0)
        c = (z / before).sum().detach()
        descend(optimizer, (before.log() * z.detach() / c).sum())
        with torch.no_grad():
            fallen = before.log() - torch.stack(list(net(step).values())).log()
        (w.grad,) = torch.autograd.grad(w.softmax(0), w, grad_outputs=fallen)
        adam.step()

    made = weighting("famo", learning_rate=0.2, decay=0.01)
    torch.testing.assert_close(train(made), by_hand(one_step), **EXACT)
    torch.testing.assert_close(made.logits.detach(), w.detach(), **EXACT)
    assert w.detach().abs().min() > 0.1


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_state_brings_everything_back(name: str) -> None:
    options = {"every": 2} if name == "dwa" else {}
    whole, begun, resumed = (weighting(name, **options) for _ in range(3))
    expected = train(whole)
    net = Toy()
    train(begun, range(5), net)
    resumed.load(copy.deepcopy(begun.state()))
    found = train(resumed, range(5, STEPS), net)
    assert torch.equal(found, expected)
    assert {key: value.tolist() for key, value in whole.state_dict().items()} == {
        key: value.tolist() for key, value in resumed.state_dict().items()
    }


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_task_without_labels_in_a_batch_is_left_out_of_the_step(name: str) -> None:
    """Its zero, or its absence, changes no factor to something that is not finite, and does not count as progress."""
    made = weighting(name, **({"every": 1} if name == "dwa" else {}))
    net = Toy()
    train(made, range(3), net)
    before = made.report()["depth"].item()
    for losses in ({**net(9), "depth": (net.heads * 0).sum()}, {k: v for k, v in net(9).items() if k != "depth"}):
        total = made.total(losses, sum(losses.values()))
        made.before_step(losses, [net.map])
        total.backward()
        detached = {task: loss.detach() for task, loss in losses.items()}
        made.after_step(3, detached, lambda: detached)  # noqa: B023
        factors = torch.stack(list(made.report().values()))
        assert torch.isfinite(factors).all() and torch.isfinite(net.shared.grad).all()
    if name == "uncertainty":  # Adam's momentum still moves it a little
        assert made.report()["depth"].item() == pytest.approx(before, rel=0.05)


def trained_on_half(rank: int, name: str, options: dict[str, Any]) -> tuple[list[float], list[float]]:
    made = weighting(name, **options)
    shared = train(made, samples=slice(3 * rank, 3 * rank + 3))
    return shared.flatten().tolist(), torch.stack(list(made.report().values())).tolist()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_two_processes_weigh_as_one_does(name: str, in_two: InTwo) -> None:
    options = {"every": 3} if name == "dwa" else {}
    whole = weighting(name, **options)
    shared = train(whole)
    for found_shared, found_factors in in_two(trained_on_half, name, options):
        assert found_shared == pytest.approx(shared.flatten().tolist(), rel=1e-9, abs=1e-12)
        assert found_factors == pytest.approx(torch.stack(list(whole.report().values())).tolist(), rel=1e-9)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"loss_weighting": "famos"}, "loss_weighting: unknown loss weighting 'famos'. Did you mean 'famo'?"),
        ({"loss_weighting_options": {"alpha": 1}}, "loss_weighting_options.alpha: unknown key"),
        (
            {"loss_weighting": "gradnorm", "loss_weighting_options": {"alpha": -1}},
            "loss_weighting_options.alpha: expected greater than or equal to 0",
        ),
    ],
)
def test_names_and_options_are_checked(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        TrainSpec(**recipe)
