"""The published recipe step by step: known gradients into the real engine, its weights against a recurrence in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from atrcnas import ContextConfig, Experiment, Sampler, retrain, search
from atrcnas.engine.losses import Losses
from atrcnas.engine.training import Training

Array = npt.NDArray[np.float64]
RATES = {"nyud": 0.01, "pascal": 0.005}
STEPS = 7


class Recorder:
    """Takes the place of a network's losses: known gradients into the real engine, and what the engine makes of them.

    Every second gradient of the weights is thirty long, beyond the clip, the others three.
    """

    def __init__(self) -> None:
        self.weight_gradients: list[Array] = []
        self.logit_gradients: list[Array] = []
        self.taus: list[float] = []
        self.training: Any = None
        self.random = torch.Generator().manual_seed(7)

    def losses(self, training: Training) -> Losses:
        weights = learnt(training.weights.net)
        if self.training is None:
            self.training, self.first_weights = training, flat(weights)
            if training.choice is not None:
                nn.init.normal_(training.choice.sampler.logits, generator=self.random)
                self.first_logits = training.choice.sampler.logits.detach().numpy().copy()
        gradient = torch.randn(sum(w.numel() for w in weights), dtype=torch.float64, generator=self.random)
        gradient *= (30 if len(self.weight_gradients) % 2 else 3) / gradient.norm()
        self.weight_gradients.append(gradient.numpy())
        parts = zip(weights, gradient.split([w.numel() for w in weights]), strict=True)
        loss = torch.stack([(w.flatten() * part).sum() for w, part in parts]).sum()
        if training.choice is not None:
            logits = training.choice.sampler.logits
            slope = torch.randn(logits.shape, dtype=torch.float64, generator=self.random)
            self.logit_gradients.append(slope.numpy())
            loss = loss + (logits * slope).sum()
        return Losses(loss, [{}])


def learnt(net: nn.Module) -> list[Tensor]:
    return [w for w in net.parameters() if w.requires_grad]


def flat(weights: list[Tensor]) -> Array:
    return torch.cat([w.detach().flatten() for w in weights]).numpy().copy()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found, draw = Recorder(), Sampler.draw

    def recorded(sampler: Sampler, step: int, tau: float) -> Any:
        found.taus.append(tau)
        return draw(sampler, step, tau)

    monkeypatch.setattr(Training, "losses", lambda training, *_: found.losses(training))
    monkeypatch.setattr(Sampler, "draw", recorded)
    return found


def published_run(data: str) -> Experiment:
    """The bundled experiment's own recipe and decoder, for a few steps in double precision on a tiny backbone."""
    bundled = Experiment.load(f"{data}-hrnet18").dump()
    short = {"steps": STEPS, "batch_size": 1, "validate_every": STEPS, "log_every": 1}
    return Experiment.load(
        {
            "tasks": ["semseg", "depth"],
            "data": {"name": "rooms", "options": {"image_size": [32, 48], "train_size": 4, "val_size": 1}},
            "backbone": {"name": "mobilenetv3_small_050"},
            "model": bundled["model"] | {"width": 8},
            "space": bundled["space"],
            "search": bundled["search"] | short,
            "retrain": bundled["retrain"] | short,
            "precision": "64",
            "devices": "cpu",
        }
    )


def logged(path: Path, name: str) -> list[float]:
    rows = pd.read_csv(path)
    return rows[(rows["stage"] == "train") & (rows["name"] == name)]["value"].tolist()


def sgd(weights: Array, gradients: list[Array], rate: float) -> Array:
    """SGD written out: add the decay, average with momentum, move by poly's rate."""
    velocity = np.zeros_like(weights)
    for step, gradient in enumerate(gradients):
        velocity = 0.9 * velocity + gradient + 5e-4 * weights
        weights = weights - rate * (1 - step / len(gradients)) ** 0.9 * velocity
    return weights


def with_entropy(logits: Array, given: Array, pool: npt.NDArray[np.bool_], weight: float) -> Array:
    """The given gradient plus that of the weighted mean entropy."""
    share = np.where(pool, np.exp(logits), 0)
    share /= share.sum(1, keepdims=True)
    log = np.log(np.where(pool, share, 1))
    entropy = -(share * log).sum(1, keepdims=True)
    return given - weight * share * (log + entropy) / len(logits)


def joint_recipe(recorder: Recorder, pool: npt.NDArray[np.bool_], rate: float, clip: float) -> tuple[Array, Array]:
    """The search's steps written out: one norm of both gradients is clipped, SGD moves the weights, Adam the logits."""
    logits, clipped = recorder.first_logits, []
    mean, square, steps = np.zeros_like(logits), np.zeros_like(logits), len(recorder.weight_gradients)
    for step, (own, given) in enumerate(zip(recorder.weight_gradients, recorder.logit_gradients, strict=True)):
        slope = with_entropy(logits, given, pool, -0.02 + 0.08 * progress(step, steps))
        factor = min(1.0, clip / (np.sqrt((own**2).sum() + (slope**2).sum()) + 1e-6))
        clipped.append(own * factor)
        mean, square = 0.9 * mean + 0.1 * factor * slope, 0.999 * square + 0.001 * (factor * slope) ** 2
        corrected = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        logits = logits - 5e-4 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return sgd(recorder.first_weights, clipped, rate), logits


def progress(step: int, steps: int) -> float:
    """Share of the way from the first to the last value of a linear schedule."""
    return step / steps


@pytest.mark.parametrize("data", RATES)
def test_the_search_moves_weights_and_logits_as_published(recorder: Recorder, tmp_path: Path, data: str) -> None:
    search(published_run(data), tmp_path)
    rate, share = RATES[data], np.array([progress(step, STEPS) for step in range(STEPS)])
    metrics = tmp_path / "search/metrics.csv"
    taus = 1 - 0.95 * share
    assert logged(metrics, "learning_rate") == pytest.approx(rate * (1 - np.arange(STEPS) / STEPS) ** 0.9, rel=1e-5)
    assert logged(metrics, "entropy_weight") == pytest.approx(-0.02 + 0.08 * share, rel=1e-5)
    assert logged(metrics, "tau") == pytest.approx(taus, rel=1e-5)
    assert recorder.taus == pytest.approx(taus, rel=1e-12)
    net, sampler = recorder.training.weights.net, recorder.training.choice.sampler
    weights, logits = joint_recipe(recorder, sampler.pool.numpy(), rate, clip=10)
    assert np.abs(weights - recorder.first_weights).max() > 1e-5
    np.testing.assert_allclose(flat(learnt(net)), weights, rtol=0, atol=1e-11)
    np.testing.assert_allclose(sampler.logits.detach().numpy(), logits, rtol=0, atol=1e-11)
    assert not [part for part in net.refiners.modules() if isinstance(part, nn.Dropout2d)]


@pytest.mark.parametrize("data", RATES)
def test_retraining_moves_weights_as_published_without_clipping(recorder: Recorder, tmp_path: Path, data: str) -> None:
    retrain(published_run(data), ContextConfig.load("uniform-tlabel"), tmp_path)
    expected = sgd(recorder.first_weights, recorder.weight_gradients, RATES[data])
    net = recorder.training.weights.net
    np.testing.assert_allclose(flat(learnt(net)), expected, rtol=0, atol=1e-11)
    assert {part.p for part in net.refiners.modules() if isinstance(part, nn.Dropout2d)} == {0.05}
