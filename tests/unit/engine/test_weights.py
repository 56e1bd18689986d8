"""Learning rates of every group over the steps, and the moving average, against their closed forms."""

from __future__ import annotations

import copy

import pytest
import torch

from atrcnas import Experiment
from atrcnas.engine.networks import supernet
from atrcnas.engine.weights import Weights
from tests.conftest import TINY


def weights(*options: str) -> Weights:
    small = ["backbone.name=test_resnet", "space={pairs: {default: [none, mti]}}", "search.steps=7"]
    spec = Experiment.load(TINY, [*small, "search.learning_rate=0.4", *options])
    return Weights(supernet(spec), spec.search)


def test_rates_rise_over_the_warm_up_and_then_follow_the_schedule() -> None:
    trained = weights("search.warm_up=3", "search.backbone_rate=0.1", "search.poly_power=2")
    for step, share in enumerate((1 / 3, 2 / 3, 1, 1, (3 / 4) ** 2, (2 / 4) ** 2, (1 / 4) ** 2)):
        trained.set_rates(step, 0.5)
        rates = {round(group["lr"], 9) for group in trained.optimizer.param_groups}
        assert rates == {round(0.4 * share * factor, 9) for factor in (0.5, 0.05)}
        assert trained.schedule_values() == {"learning_rate": pytest.approx(0.2 * share)}
        trained.set_rates(step)
        assert trained.schedule_values() == {"learning_rate": pytest.approx(0.4 * share)}


def test_the_moving_average_follows_weights_and_statistics_and_is_what_is_evaluated() -> None:
    trained = weights("search.ema=0.75")
    expected = None
    for value in (1.0, 3.0, -2.0):
        with torch.no_grad():
            for tensor in trained.net.state_dict().values():
                tensor.fill_(value)
        trained.after_step()
        expected = value if expected is None else 0.75 * expected + 0.25 * value
    for own in trained.evaluated.state_dict().values():
        if own.is_floating_point():
            torch.testing.assert_close(own, torch.full_like(own, expected))
    again = weights("search.ema=0.75")
    again.load(trained.state())
    for key, value in trained.evaluated.state_dict().items():
        assert torch.equal(again.evaluated.state_dict()[key], value)
    plain = weights()
    assert plain.evaluated is plain.net


def test_weights_are_trained_with_the_momentum_they_were_saved_with() -> None:
    spec = weights().recipe
    one, two = (Weights(weights().net.eval(), spec) for _ in range(2))
    assert one.net.training
    sum(parameter.square().sum() for parameter in one.parameters).backward()
    one.optimizer.step()
    two.load(copy.deepcopy(one.state()))
    for each in (one, two):
        each.optimizer.zero_grad()
        sum(parameter.sum() for parameter in each.parameters).backward()
        each.optimizer.step()
    for ours, theirs in zip(one.parameters, two.parameters, strict=True):
        assert torch.equal(ours, theirs)
