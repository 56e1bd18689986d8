"""The paired estimator against expectations that are summed up over every possible draw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from atrcnas import Sampler
from atrcnas.sampling.paired import Paired
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import SearchSpec

POOL = ("none", "local", "global")
POOLS = {Pair("a", "a"): POOL, Pair("a", "b"): POOL, Pair("b", "a"): ("none", "local")}


def estimator(draws: int = 2, **recipe: object) -> Paired:
    sampler = Sampler(POOLS, seed=1).double()
    torch.nn.init.normal_(sampler.logits, generator=torch.Generator().manual_seed(5))
    return Paired(sampler, SearchSpec.model_validate({"estimator": "paired", "draws": draws, **recipe}))


def configs(sampler: Sampler) -> Iterator[tuple[int, ...]]:
    """Every config, as columns of ``sampler.kinds``."""
    return itertools.product(*([sampler.kinds.index(kind) for kind in sampler.pools[pair]] for pair in sampler.pairs))


def loss_tables(sampler: Sampler) -> dict[str, dict[tuple[int, ...], float]]:
    """Losses of both targets for every config; that of ``a`` has interactions, and some of b's noise."""
    random = torch.Generator().manual_seed(9)
    values = torch.rand(2, 3**3, generator=random, dtype=torch.float64).tolist()
    return {
        target: {config: row[place] for place, config in enumerate(configs(sampler))}
        for target, row in zip("ab", values, strict=True)
    }


def expected_gradient(sampler: Sampler) -> Tensor:
    """Gradient of the sum over targets of the expected loss, each by the logits of its own pairs only."""
    tables, whole = loss_tables(sampler), torch.zeros_like(sampler.logits)
    for target, table in tables.items():
        probabilities = sampler.probabilities()
        total = torch.zeros((), dtype=torch.float64)
        for config, loss in table.items():
            total = total + loss * torch.stack([probabilities[row, column] for row, column in enumerate(config)]).prod()
        (gradient,) = torch.autograd.grad(total, sampler.logits)
        own = torch.tensor([pair.target == target for pair in sampler.pairs])
        whole += gradient * own[:, None]
    return whole


@pytest.mark.parametrize("draws", [2, 3])
def test_the_mean_over_every_draw_is_the_gradient_of_the_expected_loss(draws: int, monkeypatch) -> None:
    paired = estimator(draws)
    sampler, tables = paired.sampler, loss_tables(paired.sampler)
    with torch.no_grad():
        probabilities = sampler.probabilities()
    # Without the division by the running size, which is a change of scale.
    monkeypatch.setattr(paired, "advantages", lambda x: (x - x.mean(0)) * len(x) / (len(x) - 1))
    every = list(configs(sampler))
    if draws == 3:  # 18 ** 3 draws would take long: two pairs at what they are, one free
        every = [config for config in every if config[:2] == every[0][:2]]
        probabilities = probabilities.clone()
        probabilities[:2] = 0
        probabilities[[0, 1], list(every[0][:2])] = 1
    mean = torch.zeros_like(sampler.logits)
    for drawn in itertools.product(every, repeat=draws):
        weight = torch.stack([probabilities[row, config[row]] for config in drawn for row in range(3)]).prod()
        paired._drawn, paired._computed = torch.tensor(drawn), list(range(draws))
        parts = [{t: torch.tensor(tables[t][config], dtype=torch.float64) for t in "ab"} for config in drawn]
        (gradient,) = torch.autograd.grad(paired.term(0, [None] * draws, parts), sampler.logits)
        mean += weight * gradient
    expected = expected_gradient(sampler)
    if draws == 3:
        expected = one_pair_free(paired, probabilities, every)
        mean[:2] = 0  # of pairs that are not drawn
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


def one_pair_free(paired: Paired, fixed: Tensor, every: list[tuple[int, ...]]) -> Tensor:
    table, probabilities = loss_tables(paired.sampler)["b"], paired.sampler.probabilities()
    total = torch.stack([table[config] * probabilities[2, config[2]] for config in every]).sum()
    (gradient,) = torch.autograd.grad(total, paired.sampler.logits)
    return gradient


def test_what_two_draws_share_teaches_nothing() -> None:
    paired = estimator()
    columns = next(iter(configs(paired.sampler)))
    other = (*columns[:2], 1 - columns[2] if columns[2] < 2 else 0)
    paired._drawn, paired._computed = torch.tensor([columns, other]), [0, 1]
    parts = [{"a": torch.tensor(1.0), "b": torch.tensor(2.0)}, {"a": torch.tensor(3.0), "b": torch.tensor(1.0)}]
    (gradient,) = torch.autograd.grad(paired.term(0, [None, None], parts), paired.sampler.logits)
    assert gradient[:2].abs().max() < 1e-12, "target a drew the same kinds twice, whatever its losses"
    assert gradient[2, other[2]] < 0 < gradient[2, columns[2]], "the draw with the lower loss becomes more likely"


def test_a_targets_loss_has_no_say_over_anothers_pairs() -> None:
    paired = estimator()
    paired._drawn, paired._computed = torch.tensor([[0, 0, 0], [1, 1, 1]]), [0, 1]
    parts = [{"a": torch.tensor(1.0), "b": torch.tensor(5.0)}, {"a": torch.tensor(1.0), "b": torch.tensor(0.0)}]
    (gradient,) = torch.autograd.grad(paired.term(0, [None, None], parts), paired.sampler.logits)
    assert gradient[:2].abs().max() < 1e-12 and gradient[2].abs().max() > 0


def test_large_and_small_losses_weigh_alike() -> None:
    paired = estimator()
    losses = torch.tensor([[100.0, 0.001], [300.0, 0.003]], dtype=torch.float64)
    first = paired.advantages(losses)
    torch.testing.assert_close(first, torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64))
    second = paired.advantages(losses * 2)
    assert second[1, 0] == pytest.approx(2 / (0.95 + 2 * 0.05))


def test_what_is_kept_between_steps_is_the_size_and_without_differences_nothing_is_learnt() -> None:
    paired = estimator()
    assert paired.advantages(torch.ones(2, 2, dtype=torch.float64)).tolist() == [[0, 0], [0, 0]]
    assert {key: value.tolist() for key, value in paired.state_dict().items()} == {"size": [0, 0]}
    # Of 1, 2 and 6 the means of the other two are 4, 3.5 and 1.5; the differences -3, -1.5 and 4.5.
    paired.advantages(torch.tensor([[1.0, 10], [2, 20], [6, 60]], dtype=torch.float64))
    torch.testing.assert_close(paired.size, torch.tensor([3.0, 30.0]))


def test_a_term_in_units_of_the_loss_is_scaled_like_the_differences() -> None:
    paired = estimator()
    assert paired.scale().tolist() == [0, 0, 0]
    differences = paired.advantages(torch.tensor([[1.0, 10], [3, 50]], dtype=torch.float64))
    assert differences.abs().tolist() == [[1, 1], [1, 1]], "differences of 2 and 40, in units of 2 and 40"
    torch.testing.assert_close(paired.scale(), torch.tensor([1 / 2, 1 / 2, 1 / 40]))


def test_without_draws_to_compare_there_is_no_term() -> None:
    paired = estimator()
    paired.draw(3, tau=1.0)
    assert paired.term(3, [None], [{}]) is None, "a single mixture, of another's draw"


def test_equal_configs_are_computed_once_and_their_losses_counted_for_each_draw() -> None:
    paired = estimator(draws=3)
    sampler = paired.sampler
    step = next(step for step in range(1000) if len(paired.draw(step, 1.0)) == 2)
    mixtures = paired.draw(step, 1.0)
    assert sorted(set(paired._computed)) == [0, 1] and len(paired._computed) == 3
    parts = [{"a": torch.tensor(1.0), "b": torch.tensor(2.0)}, {"a": torch.tensor(3.0), "b": torch.tensor(5.0)}]
    (gradient,) = torch.autograd.grad(paired.term(step, mixtures, parts), sampler.logits)
    whole = estimator(draws=3)
    whole._drawn, whole._computed = paired._drawn, [0, 1, 2]
    (expected,) = torch.autograd.grad(
        whole.term(step, [None] * 3, [parts[place] for place in paired._computed]), whole.sampler.logits
    )
    torch.testing.assert_close(gradient, expected)


def test_nothing_is_learnt_from_rounding() -> None:
    paired = estimator()
    losses = torch.tensor([[90.0, 2.0], [90.0 + 1e-12, 2.0 + 1e-7]], dtype=torch.float64)
    assert paired.advantages(losses).abs().max() == 0
    assert paired.size.tolist() == [0, 0]


def test_equal_losses_leave_the_usual_difference_as_it_was() -> None:
    paired = estimator()
    paired.advantages(torch.tensor([[1.0, 1.0], [3.0, 2.0]], dtype=torch.float64))
    before = paired.size.clone()
    assert torch.equal(paired.advantages(torch.ones(2, 2, dtype=torch.float64)), torch.zeros(2, 2, dtype=torch.float64))
    assert torch.equal(paired.size, before)


def test_draws_follow_the_probabilities_and_the_seed_and_keep_what_has_committed() -> None:
    paired = estimator()
    sampler = paired.sampler
    sampler.committed[1], sampler.choice[1] = True, 2
    drawn = torch.stack([sampler.sample(step, number) for step in range(2000) for number in range(2)])
    assert torch.equal(drawn[:, 1], torch.full((4000,), 2))
    shares = torch.stack([(drawn == column).double().mean(0) for column in range(len(sampler.kinds))], dim=1)
    torch.testing.assert_close(shares[[0, 2]], sampler.probabilities()[[0, 2]].detach(), rtol=0, atol=0.03)
    assert torch.equal(sampler.sample(7, 1), sampler.sample(7, 1))
    assert torch.equal(sampler.sample(7, 0), sampler.draw(7, 1.0).weights.argmax(1)), "the first is what a mixture has"
    both = drawn.view(2000, 2, 3)
    assert (both[:, 0, 0] != both[:, 1, 0]).double().mean() > 0.2, "the draws of a step are independent"
    mixtures = paired.draw(3, tau=1.0)
    assert paired._drawn.tolist() == [sampler.sample(3, number).tolist() for number in range(2)]
    assert [mixture.active_kinds(sampler.pairs[1]) for mixture in mixtures] == [frozenset({"global"})] * 2


def test_the_search_section_takes_the_estimators_own_defaults() -> None:
    assert SearchSpec() == SearchSpec(estimator="paired")
    assert (SearchSpec().commit_gap, SearchSpec().logits_warm_up) == (0.5, 0.125)
    for published in ("soft", "sampled"):
        assert SearchSpec(estimator=published).commit_gap == 0.3 and SearchSpec(estimator=published).logits_warm_up == 0
        assert SearchSpec(estimator=published, commit_gap=0.5).commit_gap == 0.5
    assert (SearchSpec().logits_rate, SearchSpec(steps=400).logits_rate) == (5e-4, 0.05)
