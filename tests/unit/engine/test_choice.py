"""What a search decides with: schedules, rest, the logits' own terms, commits and state."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from atrcnas import Sampler
from atrcnas.engine.choice import Choice, linear
from atrcnas.engine.losses import Losses
from atrcnas.sampling.estimators import Estimator, Relaxed
from atrcnas.sampling.paired import Paired
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import SearchSpec

POOL = ("none", "local", "global")
POOLS = {Pair("a", "a"): POOL, Pair("b", "a"): POOL}
FIRST = Pair("a", "a")


def choice(**recipe: Any) -> Choice:
    spec = {
        "estimator": "soft",
        "steps": 8,
        "tau": (1.0, 0.2),
        "entropy_weight": (-0.1, 0.3),
        "logits_learning_rate": 0.5,
        **recipe,
    }
    return Choice(Sampler(POOLS, commit_gap=0.3), SearchSpec.model_validate(spec))


def lead(one: Choice, pair: Pair) -> None:
    """Let ``local`` have four fifths of a pair's probability."""
    with torch.no_grad():
        one.sampler.logits[one.sampler.pairs.index(pair), one.sampler.kinds.index("local")] = math.log(8)


@pytest.mark.parametrize("ends", [(1.0, 0.05), (-0.02, 0.06), (2.0, 2.0)])
@pytest.mark.parametrize("steps", [2, 7, 40_000])
def test_linear_starts_at_one_end_and_would_reach_the_other_one_step_after_the_last(
    ends: tuple[float, float], steps: int
) -> None:
    assert linear(ends, 0, steps) == ends[0]
    assert linear(ends, steps, steps) == pytest.approx(ends[1], abs=1e-12)
    differences = {round(linear(ends, s + 1, steps) - linear(ends, s, steps), 12) for s in range(min(steps - 1, 50))}
    assert max(differences) - min(differences) < 1e-11
    assert linear(ends, 1, steps) == pytest.approx(ends[0] + (ends[1] - ends[0]) / steps)


def test_linear_over_one_step_is_its_first_value() -> None:
    assert linear((1.0, 0.05), 0, 1) == 1.0


def test_schedules_are_lines_from_the_first_step_to_the_end() -> None:
    one = choice()
    assert [one.tau(step) for step in (0, 2, 8)] == pytest.approx([1.0, 0.8, 0.2])
    assert [one.entropy_weight(step) for step in (0, 2, 8)] == pytest.approx([-0.1, 0.0, 0.3])


def test_the_logits_rest_over_their_share_of_the_steps() -> None:
    one = choice(logits_warm_up=0.25)
    assert [one.rests(step) for step in range(4)] == [True, True, False, False]
    assert not choice().rests(0)


def test_a_relaxed_draw_is_the_samplers_at_the_temperature_of_the_step() -> None:
    one = choice()
    assert isinstance(one.estimator, Relaxed)
    (mixture,) = one.draw(4)
    assert torch.equal(mixture.weights, Sampler(POOLS).draw(4, 0.6).weights)


def test_an_estimator_without_draws_of_its_own_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Estimator(Sampler(POOLS), SearchSpec()).draw(0, 1.0)


def test_the_estimator_is_where_the_logits_are() -> None:
    sampler = Sampler(POOLS).to("meta")
    assert all(buffer.is_meta for buffer in Choice(sampler, SearchSpec(estimator="paired")).estimator.buffers())


def test_logits_are_moved_by_the_loss_the_weighted_entropy_and_the_estimators_own_term() -> None:
    one = choice()
    losses = Losses(torch.tensor(2.0), [{"a": torch.tensor(2.0)}])
    total = one.objective(8, one.draw(8), losses)
    assert total.item() == pytest.approx(2 + 0.3 * math.log(3))
    one.estimator.term = lambda step, mixtures, parts: torch.tensor(step * len(mixtures) + float(parts[0]["a"]))
    assert one.objective(8, [*one.draw(8)] * 5, losses).item() == pytest.approx(2 + 0.3 * math.log(3) + 8 * 5 + 2)


def test_logits_are_moved_by_adam_at_their_own_rate() -> None:
    one = choice()
    one.sampler.logits.sum().backward()
    one.optimizer.step()
    torch.testing.assert_close(one.sampler.logits.detach(), torch.full((2, 3), -0.5))  # the first step is the rate


def test_pairs_commit_after_every_step_and_the_host_looks_every_ten() -> None:
    one = choice()
    lead(one, FIRST)
    for step in range(1, 11):
        one.after_step(step)
        assert one.sampler.committed.tolist() == [True, False]
        assert one.draw(step)[0].active_kinds(FIRST) == ({"local"} if step == 10 else set(POOL))
    assert one.schedule_values(2) == pytest.approx(
        {"tau": 0.8, "entropy_weight": 0.0, "committed_share": 0.5, "entropy": (math.log(3) + entropy(0.8)) / 2}
    )


def entropy(share: float) -> float:
    """Of one kind with this share and two with equal parts of the rest."""
    return -share * math.log(share) - (1 - share) * math.log((1 - share) / 2)


@pytest.mark.parametrize("estimator", ["soft", "paired"])
def test_a_state_brings_back_logits_their_momentum_and_the_estimator(estimator: str) -> None:
    one, two = choice(estimator=estimator), choice(estimator=estimator)
    one.sampler.logits.sum().backward()
    one.optimizer.step()
    if isinstance(one.estimator, Paired):
        one.estimator.size.fill_(3.0)
    two.load(copy.deepcopy(one.state()))
    for each in (one, two):  # another slope: what Adam does with it depends on the first
        each.optimizer.zero_grad()
        (-each.sampler.logits).sum().backward()
        each.optimizer.step()
    assert torch.equal(one.sampler.logits, two.sampler.logits)
    if isinstance(two.estimator, Paired):
        assert two.estimator.size.tolist() == [3.0, 3.0]
    else:
        assert not two.state()["estimator"], "the sampler is no part of it"
