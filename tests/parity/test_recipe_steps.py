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

    def losses(self, training: Training) -> tuple[Tensor, dict[str, Tensor]]:
        weights = learnt(training.net)
        if self.training is None:
            self.training, self.first_weights = training, flat(weights)
            if hasattr(training, "sampler"):
                nn.init.normal_(training.sampler.logits, generator=self.random)
                self.first_logits = training.sampler.logits.detach().numpy().copy()
        gradient = torch.randn(sum(w.numel() for w in weights), dtype=torch.float64, generator=self.random)
        gradient *= (30 if len(self.weight_gradients) % 2 else 3) / gradient.norm()
        self.weight_gradients.append(gradient.numpy())
        parts = zip(weights, gradient.split([w.numel() for w in weights]), strict=True)
        loss = torch.stack([(w.flatten() * part).sum() for w, part in parts]).sum()
        if hasattr(training, "sampler"):
            logits = training.sampler.logits
            slope = 1e-3 * torch.randn(logits.shape, dtype=torch.float64, generator=self.random)
            self.logit_gradients.append(slope.numpy())
            loss = loss + (logits * slope).sum()
        return loss, {}


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


def sgd(weights: Array, gradients: list[Array], rate: float, clip: float | None) -> Array:
    """SGD written out: clip the whole gradient's norm, add the decay, average with momentum, move by poly's rate."""
    velocity = np.zeros_like(weights)
    for step, raw in enumerate(gradients):
        length = np.sqrt((raw**2).sum())
        gradient = raw if clip is None or length <= clip else raw * clip / length
        velocity = 0.9 * velocity + gradient + 5e-4 * weights
        weights = weights - rate * (1 - step / len(gradients)) ** 0.9 * velocity
    return weights


def adam(logits: Array, gradients: list[Array], pool: npt.NDArray[np.bool_]) -> Array:
    """Adam written out, without decay, on the given gradients plus that of the weighted mean entropy."""
    mean, square, last = np.zeros_like(logits), np.zeros_like(logits), len(gradients) - 1
    for step, given in enumerate(gradients):
        share = np.where(pool, np.exp(logits), 0)
        share /= share.sum(1, keepdims=True)
        log = np.log(np.where(pool, share, 1))
        entropy = -(share * log).sum(1, keepdims=True)
        weight = -0.02 + 0.08 * step / last
        gradient = given - weight * share * (log + entropy) / len(logits)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        corrected = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        logits = logits - 5e-4 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return logits


@pytest.mark.parametrize("data", RATES)
def test_the_search_moves_weights_and_logits_as_published(recorder: Recorder, tmp_path: Path, data: str) -> None:
    search(published_run(data), tmp_path)
    rate, share = RATES[data], np.arange(STEPS) / (STEPS - 1)
    metrics = tmp_path / "search/metrics.csv"
    taus = 1 - 0.95 * share
    assert logged(metrics, "learning_rate") == pytest.approx(rate * (1 - np.arange(STEPS) / STEPS) ** 0.9, rel=1e-5)
    assert logged(metrics, "entropy_weight") == pytest.approx(-0.02 + 0.08 * share, rel=1e-5)
    assert logged(metrics, "tau") == pytest.approx(taus, rel=1e-5)
    assert recorder.taus == pytest.approx(taus, rel=1e-12)
    training, sampler = recorder.training, recorder.training.sampler
    expected = sgd(recorder.first_weights, recorder.weight_gradients, rate, clip=10)
    assert np.abs(expected - recorder.first_weights).max() > 1e-5
    # Not closer, since PyTorch divides by the gradient's length plus 1e-6.
    np.testing.assert_allclose(flat(learnt(training.net)), expected, rtol=0, atol=1e-9)
    expected = adam(recorder.first_logits, recorder.logit_gradients, sampler.pool.numpy())
    np.testing.assert_allclose(sampler.logits.detach().numpy(), expected, rtol=0, atol=1e-11)
    assert not [part for part in training.net.refiners.modules() if isinstance(part, nn.Dropout2d)]


@pytest.mark.parametrize("data", RATES)
def test_retraining_moves_weights_as_published_without_clipping(recorder: Recorder, tmp_path: Path, data: str) -> None:
    retrain(published_run(data), ContextConfig.load("uniform-tlabel"), tmp_path)
    expected = sgd(recorder.first_weights, recorder.weight_gradients, RATES[data], clip=None)
    net = recorder.training.net
    np.testing.assert_allclose(flat(learnt(net)), expected, rtol=0, atol=1e-11)
    assert {part.p for part in net.refiners.modules() if isinstance(part, nn.Dropout2d)} == {0.05}
