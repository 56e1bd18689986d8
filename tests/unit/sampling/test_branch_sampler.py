"""Draws of copies: repeatable, distributed as the logits say, and decoded into a tree."""

from __future__ import annotations

import pytest
import torch

from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.branches import Branches
from atrcnas.spec.pairs import Pair

TASKS, POINTS = ("a", "b", "c"), ("one", "two")


def with_logits(sampled: bool = False, seed: int = 0) -> BranchSampler:
    sampler = BranchSampler(TASKS, POINTS, seed=seed, sampled=sampled)
    with torch.no_grad():
        sampler.logits.copy_(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(5)))
    return sampler


@pytest.mark.parametrize("sampled", [False, True])
def test_a_draw_depends_on_seed_and_step_alone(sampled: bool) -> None:
    first, again, other = with_logits(sampled), with_logits(sampled), with_logits(sampled, seed=1)
    assert torch.equal(first.draw(7, 0.5), again.draw(7, 0.5))
    draws = torch.stack([first.draw(step, 0.5) for step in range(20)])
    assert len(draws.unique(dim=0)) > 5
    assert not all(torch.equal(first.draw(step, 0.5), other.draw(step, 0.5)) for step in range(20))
    torch.testing.assert_close(draws.sum(-1), torch.ones_like(draws[..., 0]))


def test_copies_and_contexts_that_are_searched_together_have_noise_of_their_own() -> None:
    """Both begin with equal logits, so that the draws of a step show the noise alone: nine values each."""
    copies = BranchSampler(TASKS, POINTS[:1], seed=3)
    contexts = Sampler({Pair("a", source): ("none", "local", "global") for source in TASKS}, seed=3)
    drawn = [torch.stack((copies.draw(step, 1.0)[0], contexts.draw(step, 1.0).weights)) for step in range(200)]
    log = torch.stack(drawn, dim=1).detach().log().flatten(1)  # [2, 1800]
    assert abs(float(torch.corrcoef(log)[0, 1])) < 0.1


def test_sampled_copies_come_as_often_as_their_probabilities_say() -> None:
    sampler = with_logits(sampled=True)
    count = 2000
    shares = torch.stack([sampler.draw(step, 0.3).detach() for step in range(count)]).mean(0)
    spread = (sampler.probabilities() * (1 - sampler.probabilities()) / count).sqrt()
    assert ((shares - sampler.probabilities()).abs() < 5 * spread + 1e-6).all()


def test_a_sampled_draw_is_one_hot_and_has_the_gradient_of_the_soft_one() -> None:
    hard, soft = with_logits(sampled=True), with_logits()
    weights = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1))
    drawn = hard.draw(3, 0.7)
    assert set(drawn.detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    (drawn * weights).sum().backward()
    (soft.draw(3, 0.7) * weights).sum().backward()
    torch.testing.assert_close(hard.logits.grad, soft.logits.grad)


def test_the_tree_keeps_tasks_together_while_they_prefer_the_same_copy() -> None:
    sampler = BranchSampler(TASKS, POINTS)
    assert sampler.chosen().together
    with torch.no_grad():
        sampler.logits[0, 0, 1] = sampler.logits[0, 1, 1] = 1.0  # a and b take the second copy, c the first
        sampler.logits[1, :, 2] = 1.0  # all meet again, which is too late
    assert sampler.chosen() == Branches.of({"one": [["a", "b"], ["c"]]}, TASKS, POINTS)
    assert torch.equal(sampler.chosen_copies()[1], torch.eye(3)[[2, 2, 2]])


def test_expected_cost_is_in_double_precision_wherever_the_sampler_is() -> None:
    sampler = with_logits()
    exact = sampler.expected_cost([1.0, 2.0]).detach()
    assert exact.dtype == torch.float64
    assert float(sampler.half().expected_cost([1.0, 2.0]).detach()) == pytest.approx(float(exact), rel=1e-2)
    assert torch.equal(sampler.chances.moebius, BranchSampler(TASKS, POINTS).chances.moebius)
