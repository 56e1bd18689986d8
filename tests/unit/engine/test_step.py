"""Steps of the engine against a loop in plain PyTorch that knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from atrcnas import Experiment, Sampler, search
from atrcnas.data.batch import Batch
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.networks import supernet
from atrcnas.engine.training import Training
from atrcnas.engine.weights import Weights
from atrcnas.nn.relations import ContextRefiner
from atrcnas.objectives.objective import Objective
from tests.conftest import TINY

STEPS, TRAIN, HELD_OUT = 6, 12, 0.25
RATE, MOMENTUM, DECAY, CLIP, LOGITS_RATE = 0.02, 0.8, 0.01, 0.5, 0.3
OPTIONS = [
    "precision=64",
    "devices=cpu",
    f"data.options.train_size={TRAIN}",
    "data.options.val_size=1",
    "data.options.image_size=[32, 64]",
    "backbone.name=test_resnet",
    f"search={{estimator: soft, steps: {STEPS}, batch_size: 2, validate_every: 4, log_every: {STEPS}, learning_rate: {RATE}}}",
    f"search.momentum={MOMENTUM}",
    f"search.weight_decay={DECAY}",
    f"search.clip={CLIP}",
    f"search.logits_learning_rate={LOGITS_RATE}",
    "space={pairs: {default: [none, global, slabel], diagonal: [none, local]}}",
]


Batches = dict[int, list[Batch]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """What an engine's steps look at: step -> batches, in order; of a step that is taken again, the last time."""
    found, whole, begin = Batches(), Training.losses, Training.begin_step

    def begin_step(self: Training) -> None:
        found[self.step] = []
        begin(self)

    def losses(self: Training, batch: Batch, mixtures: Any) -> Any:
        found[self.step].append(batch)
        return whole(self, batch, mixtures)

    monkeypatch.setattr(Training, "begin_step", begin_step)
    monkeypatch.setattr(Training, "losses", losses)
    return found


def spoil(monkeypatch: pytest.MonkeyPatch, step: int, look: int) -> None:
    """Make the images of the ``look``-th batch of a step infinite."""
    whole, looked = Training.losses, []

    def losses(self: Training, batch: Batch, mixtures: Any) -> Any:
        looked.append(self.step)
        bad = self.step == step and looked.count(step) == look
        return whole(self, replace(batch, image=batch.image * torch.inf) if bad else batch, mixtures)

    monkeypatch.setattr(Training, "losses", losses)


def power_cut(after: int) -> Callable[[Weights], None]:
    """In place of ``Weights.after_step``: the process dies after that many steps were taken."""
    left = iter(range(after, -1, -1))
    return lambda weights: (1 / next(left), None)[1]


class PlainLoop:
    """The search as the README has it: SGD and Adam written out on gradients that autograd is asked for one by one."""

    def __init__(self, experiment: Experiment) -> None:
        self.net = supernet(experiment).double().train()
        self.weights = [weight for weight in self.net.parameters() if weight.requires_grad]
        self.sampler = Sampler(
            self.net.candidates, seed=experiment.seed, commit_gap=experiment.search.commit_gap
        ).double()
        self.objective = Objective(experiment.resolved_tasks()).double()
        self.velocity = [torch.zeros_like(weight) for weight in self.weights]
        self.mean = self.square = torch.zeros_like(self.sampler.logits)
        self.moves = 0
        self.rate_factor = 1.0

    def loss(self, batch: Batch, step: int) -> Tensor:
        share = step / STEPS
        mixture = self.sampler.draw(step, 1.0 - 0.95 * share)
        outputs = self.net(batch.image, batch.image_valid, mixture)
        return self.objective(outputs.predictions, outputs.labels, outputs.initial, batch.targets, batch.valid)[0]

    def entropy(self, step: int) -> Tensor:
        return (-0.02 + 0.08 * step / STEPS) * self.sampler.entropy()

    def single_level(self, step: int, batch: Batch) -> None:
        total = self.loss(batch, step) + self.entropy(step)
        *gradients, slope = torch.autograd.grad(total, [*self.weights, self.sampler.logits], allow_unused=True)
        factor = self.clipping([*gradients, slope])
        self.move_weights(step, gradients, factor)
        self.move_logits(slope * factor)

    def bi_level(self, step: int, held_out: Batch, batch: Batch) -> None:
        (slope,) = torch.autograd.grad(self.loss(held_out, step) + self.entropy(step), [self.sampler.logits])
        self.move_logits(slope)
        gradients = torch.autograd.grad(self.loss(batch, step), self.weights, allow_unused=True)
        self.move_weights(step, gradients, self.clipping(gradients))

    def clipping(self, gradients: Any) -> float:
        length = torch.stack([gradient.square().sum() for gradient in gradients if gradient is not None]).sum().sqrt()
        return min(1.0, CLIP / (float(length) + 1e-6))

    @torch.no_grad()
    def move_weights(self, step: int, gradients: Any, factor: float) -> None:
        rate = RATE * (1 - step / STEPS) ** 0.9 * self.rate_factor
        for i, (weight, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            if gradient is not None:
                self.velocity[i] = MOMENTUM * self.velocity[i] + factor * gradient + DECAY * weight
                weight -= rate * self.velocity[i]

    @torch.no_grad()
    def move_logits(self, slope: Tensor) -> None:
        self.moves += 1
        self.mean = 0.9 * self.mean + 0.1 * slope
        self.square = 0.999 * self.square + 0.001 * slope.square()
        mean, square = (self.mean / (1 - 0.9**self.moves), self.square / (1 - 0.999**self.moves))
        self.sampler.logits -= LOGITS_RATE * mean / (square.sqrt() + 1e-8)

    def commit(self) -> None:
        for row, pair in enumerate(self.sampler.pairs):
            *_, second, best = sorted(self.sampler.probability_table()[pair].values())
            if best - second >= self.sampler.commit_gap and not self.sampler.committed[row]:
                self.sampler.choice[row] = self.sampler.probabilities()[row].argmax()
                self.sampler.committed[row] = True


def parts_of_the_data(batches: Batches) -> tuple[set[str], set[str]]:
    """The names of the samples that first and second batches of a step come from."""
    parts: tuple[set[str], set[str]] = (set(), set())
    for seen in batches.values():
        for part, batch in zip(parts, seen, strict=False):
            part.update(batch.names)
    return parts


def by_hand(experiment: Experiment, batches: Batches, refused: int | None = None, factor: float = 1.0) -> PlainLoop:
    """The loop over the batches of an engine: those of the smaller part move the logits. A refused step is left out."""
    loop, held_out = PlainLoop(experiment), min(parts_of_the_data(batches), key=len)
    for step, seen in sorted(batches.items()):
        if step == refused:
            loop.rate_factor *= factor
            continue
        if held_out:
            loop.bi_level(step, *sorted(seen, key=lambda batch: not set(batch.names) <= held_out))
        else:
            loop.single_level(step, *seen)
        loop.commit()
    return loop


def check(folder: Path, loop: PlainLoop) -> None:
    state = read_checkpoint(folder / "search/checkpoints/last.ckpt")
    expected = {("net", key): value for key, value in loop.net.state_dict().items()}
    expected |= {("sampler", key): getattr(loop.sampler, key) for key in ("logits", "committed", "choice")}
    for (part, key), value in expected.items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(state[part][key], value.detach(), rtol=1e-9, atol=1e-11, msg=f"{part} {key}")
    assert 0 < loop.sampler.committed.sum() < len(loop.sampler.pairs), "some have committed, some have not"


def experiment(*more: str) -> Experiment:
    return Experiment.load(TINY, [*OPTIONS, *more])


@pytest.mark.parametrize("held_out", [0, HELD_OUT], ids=["single-level", "bi-level"])
def test_a_search_moves_weights_and_logits_as_a_plain_loop_does(
    watched: Batches, tmp_path: Path, held_out: float
) -> None:
    spec = experiment(f"search.held_out={held_out}")
    search(spec, tmp_path)
    check(tmp_path, by_hand(spec, watched))
    for_logits, for_weights = sorted(parts_of_the_data(watched), key=len)
    assert not for_logits & for_weights
    assert len(for_logits) == TRAIN * held_out < len(for_weights)


@pytest.mark.parametrize(
    ("held_out", "look", "policy", "factor"),
    [
        pytest.param(0, 1, "lower", 0.5, id="single-level"),
        pytest.param(HELD_OUT, 1, "lower", 0.5, id="on the batch for the logits"),
        pytest.param(HELD_OUT, 2, "lower", 0.5, id="on the batch for the weights"),
        pytest.param(HELD_OUT, 2, "skip", 1.0, id="skipped"),
    ],
)
def test_of_a_refused_step_nothing_is_left_but_a_lower_rate(
    watched: Batches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held_out: float,
    look: int,
    policy: str,
    factor: float,
) -> None:
    spoil(monkeypatch, 2, look)
    spec = experiment(f"search.held_out={held_out}", f"search.on_nonfinite={policy}")
    search(spec, tmp_path)
    assert len(watched[2]) == look, "a refused step ends at once"
    check(tmp_path, by_hand(spec, watched, 2, factor))


def test_a_lowered_rate_outlives_the_process(watched: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 2, 1)
    spec = experiment("search.on_nonfinite=lower")
    with monkeypatch.context() as patch:
        patch.setattr(Weights, "after_step", power_cut(4))
        with pytest.raises(ZeroDivisionError):
            search(spec, tmp_path)
    search(spec, tmp_path, resume=True)
    check(tmp_path, by_hand(spec, watched, 2, 0.5))


def test_candidates_of_a_committed_pair_are_no_longer_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, whole = [], ContextRefiner.forward

    def forward(self: ContextRefiner, features: Any, labels: Any = None, valid: Any = None, mixture: Any = None) -> Any:
        if self.training:
            computed.append(sum(len(mixture.active_kinds(pair)) for pair in self.candidates))
        return whole(self, features, labels, valid, mixture)

    monkeypatch.setattr(ContextRefiner, "forward", forward)
    search(experiment("search.steps=12", "search.commit_gap=1e-9"), tmp_path)
    assert computed[0] == 3 + 3 + 2 + 2
    assert computed[11] == 4, "looked at after ten steps"


def test_activation_checkpointing_keeps_less_for_the_backward_pass() -> None:
    kept = {}
    for checkpointing in (True, False):
        spec = experiment(f"search.activation_checkpointing={str(checkpointing).lower()}")
        net = Weights(supernet(spec), spec.search).net
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, saved=saved: saved.append(x.numel()) or x, lambda x: x):
            net(torch.rand(2, 3, 64, 64), None, Sampler(net.candidates).draw(0, 1.0))
        kept[checkpointing] = sum(saved)
    assert kept[True] < 0.9 * kept[False]
