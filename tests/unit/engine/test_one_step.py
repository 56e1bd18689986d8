"""One step of two weights and one logit, whose gradients are worked out by hand.

The loss on a batch b under a mixture m is b |w|^2 / 2 + b m l, the entropy term of the first step is l. With w = (3, 4)
and b = 2 the weights' gradient is (6, 8), of length 10; with m = 11.5 that of the logit is 24, of both together 26.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from atrcnas.engine import step as module
from atrcnas.engine.losses import Losses
from atrcnas.engine.step import take_step


class Trained:
    """Weights and, in a search, a choice; ``events`` holds what a step called."""

    def __init__(self, searching: bool, clip: float | None = None, rests: bool = False, refused: int = -1) -> None:
        self.events: list[Any] = []
        self.refused, self.step, self.recipe = refused, 0, SimpleNamespace(clip=clip)
        self.weighting = SimpleNamespace(before_step=lambda *given: None, after_step=lambda *given: None)
        self.finite = SimpleNamespace(taken=lambda: self.events.append("taken"))
        self.w = torch.tensor([3.0, 4.0], requires_grad=True)
        self.l = torch.tensor([0.0], requires_grad=True)
        self.weights: Any = SimpleNamespace(**self.part(self.w), after_step=lambda: self.events.append("average"))
        self.choice: Any = searching and SimpleNamespace(
            **self.part(self.l),
            rests=lambda step: rests,
            draw=lambda step: self.events.append(("draw", step)) or [11.5],
            objective=lambda step, mixtures, losses: losses.total + (step + len(mixtures)) * self.l.sum(),
            after_step=lambda step: self.events.append(("commit", step)),
        )
        self.choice = self.choice or None

    @staticmethod
    def part(parameter: torch.Tensor) -> dict[str, Any]:
        return {"parameters": [parameter], "optimizer": torch.optim.SGD([parameter], 0.1)}

    def begin_step(self) -> None:
        self.events.append("begin")

    def losses(self, batch: float, mixtures: list[float | None]) -> Losses:
        self.events.append(batch)
        return Losses(batch * self.w.square().sum() / 2 + batch * (mixtures[0] or 0) * self.l.sum(), [{}])

    def accepts(self, losses: Losses, batch: float) -> bool:
        assert losses.total.requires_grad
        return self.events.count(batch) != self.refused


def check(trained: Any, weights: list[float], logit: float) -> None:
    torch.testing.assert_close(trained.w.detach(), torch.tensor(weights, dtype=torch.float32))
    torch.testing.assert_close(trained.l.detach(), torch.tensor([logit], dtype=torch.float32))


def test_retraining_moves_the_weights_down_the_clipped_gradient() -> None:
    trained: Any = Trained(searching=False)
    assert take_step(trained, 2).total == 25  # type: ignore[arg-type]
    check(trained, [2.4, 3.2], 0)
    assert trained.events == ["begin", 2, "taken", "average"] and trained.step == 1
    take_step(trained, 2)  # type: ignore[arg-type]
    check(trained, [2.4 * 0.8, 3.2 * 0.8], 0)
    clipped: Any = Trained(searching=False, clip=5)
    take_step(clipped, 2)  # type: ignore[arg-type]
    check(clipped, [2.7, 3.6], 0)


def test_a_single_level_search_clips_weights_and_logits_together() -> None:
    trained: Any = Trained(searching=True, clip=13)
    take_step(trained, 2)  # type: ignore[arg-type]
    check(trained, [2.7, 3.6], -1.2)
    assert trained.events == ["begin", ("draw", 0), 2, "taken", "average", ("commit", 0)] and trained.step == 1


def test_logits_that_rest_get_no_gradient_and_weigh_in_no_clip() -> None:
    trained: Any = Trained(searching=True, clip=5, rests=True)
    take_step(trained, 2)  # type: ignore[arg-type]
    check(trained, [2.7, 3.6], 0)
    assert trained.l.grad is None


@pytest.mark.parametrize(("rests", "logit"), [(False, -4.7), (True, 0)])
def test_a_bi_level_search_moves_logits_unclipped_on_the_first_batch_and_weights_on_the_second(
    rests: bool, logit: float
) -> None:
    trained: Any = Trained(searching=True, clip=5, rests=rests)
    take_step(trained, (4, 2))  # type: ignore[arg-type]
    check(trained, [2.7, 3.6], logit)
    assert trained.events == ["begin", ("draw", 0), 4, ("draw", 0), 2, "taken", "average", ("commit", 0)]


@pytest.mark.parametrize("searching", [False, True])
def test_of_a_refused_step_the_count_is_left(searching: bool) -> None:
    trained: Any = Trained(searching, refused=1)
    take_step(trained, 2)  # type: ignore[arg-type]
    check(trained, [3, 4], 0)
    assert not {"average", "taken"} & set(trained.events) and trained.step == 1
    assert (("commit", 0) in trained.events) == searching


def test_gradients_are_the_mean_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "average", lambda gradients: [gradient.mul_(0.5) for gradient in gradients])
    trained: Any = Trained(searching=True)
    take_step(trained, 2)  # type: ignore[arg-type]
    check(trained, [2.7, 3.6], -1.2)
