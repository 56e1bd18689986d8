"""Draws, commits, entropy and state of the sampler."""

from __future__ import annotations

import io
import math

import pytest
import torch
from torch import Tensor

from atrcnas import Experiment
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.recipe import SearchSpec
from atrcnas.spec.space import SearchSpace

TASKS = ("a", "b", "c")
POOLS = SearchSpace.load("full").pools(TASKS)
SETTLED = Pair("d", "a")


def build(logits_seed: int | None = None, **options) -> Sampler:
    sampler = Sampler({**POOLS, SETTLED: ("local",)}, **options)
    if logits_seed is not None:
        with torch.no_grad():
            sampler.logits.normal_(generator=torch.Generator().manual_seed(logits_seed))
    return sampler


def set_logits(sampler: Sampler, pair: Pair, **probabilities: float) -> None:
    """Let ``pair`` have these probabilities, zero elsewhere."""
    with torch.no_grad():
        row = sampler.pairs.index(pair)
        sampler.logits[row] = -100.0
        for kind, share in probabilities.items():
            sampler.logits[row, sampler.kinds.index(kind)] = math.log(share)


def test_a_sampler_alone_has_the_published_defaults() -> None:
    sampler, recipe = Sampler(POOLS), SearchSpec(estimator="soft")
    assert (sampler.estimator, sampler.noise, sampler.commit_gap) == (recipe.estimator, recipe.noise, recipe.commit_gap)
    assert sampler.seed == Experiment.model_fields["seed"].default


both = pytest.mark.parametrize("estimator", ["soft", "sampled"])


@both
def test_draw_is_a_function_of_seed_and_step(estimator: str) -> None:
    one, two, other = (build(5, seed=seed, estimator=estimator) for seed in (3, 3, 4))
    for _ in range(2):
        torch.rand(7)  # the global generator plays no part
        for step in (7, 0, 7):
            assert torch.equal(one.draw(step, 0.5).weights, two.draw(step, 0.5).weights)
    assert not torch.equal(one.draw(0, 0.5).weights, one.draw(1, 0.5).weights)
    assert not torch.equal(one.draw(0, 0.5).weights, other.draw(0, 0.5).weights)


def test_a_seed_draws_what_it_drew_in_earlier_versions() -> None:
    """A search that was started with another version continues as it would have."""
    sampler = Sampler({Pair("a", "b"): ("none", "global", "local", "mti")}, seed=3)
    weights = torch.cat([sampler.draw(step, 0.5).weights for step in (0, 39_999)])
    expected = [
        [0.000058899, 0.002529136, 0.993985355, 0.003426645],
        [0.428331643, 0.060256921, 0.491798788, 0.019612551],
    ]
    torch.testing.assert_close(weights.detach(), torch.tensor(expected), rtol=0, atol=1e-6)


def test_draw_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build().draw(0, 1.0)
    assert torch.equal(torch.rand(3), expected)


def test_neighbouring_seeds_share_no_noise_within_a_run() -> None:
    """Noise of (seed, step) must not come back as that of (seed + 1, another step)."""
    draws = {}
    for seed in range(3):
        sampler = build(seed=seed)
        for step in range(50):
            key = tuple(sampler.draw(step, 1.0).weights[0].tolist())
            assert key not in draws, f"{(seed, step)} draws as {draws.get(key)}"
            draws[key] = (seed, step)


@both
@pytest.mark.parametrize("tau", [5.0, 1.0, 0.05, 1e-3])
def test_weights_sum_to_one_and_are_zero_outside_of_the_pools(estimator: str, tau: float) -> None:
    sampler = build(2, estimator=estimator)
    for step in range(20):
        weights = sampler.draw(step, tau).weights
        assert weights.isfinite().all()
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(len(sampler.pairs)))
        assert (weights[~sampler.pool] == 0).all()


def test_without_noise_the_mixture_is_the_softmax_at_tau() -> None:
    sampler = build(2, noise=False)
    expected = (sampler.masked_logits() / 0.3).softmax(1)
    torch.testing.assert_close(sampler.draw(4, 0.3).weights, expected)


def counts_of(sampler: Sampler, tau: float, draws: int) -> Tensor:
    return sum(
        sampler.draw(step, tau).weights.detach().argmax(1)[:, None] == torch.arange(6) for step in range(draws)
    ).float()


@pytest.mark.parametrize(("estimator", "tau"), [("soft", 1e-3), ("soft", 1.0), ("sampled", 1.0)])
def test_frequencies_of_what_is_drawn_match_the_softmax(estimator: str, tau: float) -> None:
    """Gumbel-max: the largest noisy logit falls on a kind with its probability, whatever tau is."""
    draws = 1500
    sampler = build(8, estimator=estimator)
    counts, expected = counts_of(sampler, tau, draws), sampler.probabilities().detach() * draws
    free = ~sampler.committed
    chi_square = ((counts - expected).square() / expected.clamp_min(1e-9)).masked_fill(~sampler.pool, 0.0).sum(1)[free]
    freedom = sampler.pool.sum(1)[free] - 1
    assert (chi_square < freedom + 4 * (2 * freedom).sqrt() + 4).all(), chi_square
    assert chi_square.sum() < freedom.sum() + 4 * math.sqrt(2 * freedom.sum())


def test_soft_weights_approach_one_hot_as_tau_falls() -> None:
    sampler = build(1)
    best = [sampler.draw(3, tau).weights.detach().amax(1).mean().item() for tau in (10.0, 1.0, 0.1, 1e-3)]
    assert best == sorted(best)
    assert best[-1] > 0.999


# Commits.


def test_pair_with_one_kind_is_settled_from_the_start() -> None:
    sampler = build()
    row = sampler.pairs.index(SETTLED)
    assert sampler.committed.nonzero().flatten().tolist() == [row]
    assert sampler.chosen()[SETTLED] == "local"
    assert sampler.draw(0, 1.0).active_kinds(SETTLED) == {"local"}


@pytest.mark.parametrize(("gap", "commits"), [(0.2999, False), (0.3001, True), (0.9, True)])
def test_pair_commits_when_its_two_best_probabilities_differ_by_the_gap(gap: float, commits: bool) -> None:
    sampler = build(commit_gap=0.3)
    pair = Pair("a", "b")
    rest = 0.02
    best = (1 - rest + gap) / 2
    set_logits(sampler, pair, none=rest, mti=best, **{"global": best - gap})
    sampler.commit()
    row = sampler.pairs.index(pair)
    assert bool(sampler.committed[row]) == commits
    assert sampler.chosen()[pair] == "mti"
    assert int(sampler.committed.sum()) == 1 + commits, "pairs with equal logits must not commit"


def test_a_lead_of_exactly_the_gap_commits() -> None:
    sampler = build(7)
    row = sampler.pairs.index(Pair("a", "b"))
    best, second = sampler.probabilities()[row].sort(descending=True).values[:2].tolist()
    sampler.commit_gap = best - second
    sampler.commit()
    assert sampler.committed[row]


@both
def test_committed_pair_is_one_hot_for_ever(estimator: str) -> None:
    sampler = build(estimator=estimator)
    pair = Pair("b", "c")
    set_logits(sampler, pair, slabel=0.9, none=0.1)
    sampler.commit()
    set_logits(sampler, pair, slabel=0.01, none=0.99)  # whatever its logits do from now on
    for step in range(10):
        sampler.commit()
        if step == 5:
            sampler.refresh()
        mixture = sampler.draw(step, 1.0)
        row = mixture.weights[sampler.pairs.index(pair)]
        assert row.tolist() == [float(kind == "slabel") for kind in sampler.kinds]
        assert sampler.chosen()[pair] == "slabel"
    assert sampler.argmax_mixture().weight(pair, "slabel") == 1
    mixture.weights.sum().backward()
    assert (sampler.logits.grad[sampler.pairs.index(pair)] == 0).all()


def test_commit_without_any_choice_works() -> None:
    sampler = Sampler({SETTLED: ("local",)})
    sampler.commit()
    assert sampler.chosen() == {SETTLED: "local"}
    assert sampler.draw(0, 1.0).weights.tolist() == [[1.0]]


def test_argmax_mixture_is_that_of_the_best_kinds() -> None:
    sampler = build(6)
    mixture = sampler.argmax_mixture()
    best = sampler.probabilities().argmax(1)
    for row, pair in enumerate(sampler.pairs):
        assert mixture.active_kinds(pair) == {sampler.kinds[best[row]]}
        assert mixture.weight(pair, sampler.kinds[best[row]]) == 1


# Estimators.


def test_sampled_estimator_is_one_hot_forward_and_soft_backward() -> None:
    soft, sampled = build(9, estimator="soft"), build(9, estimator="sampled")
    cotangent = torch.randn(soft.pool.shape, generator=torch.Generator().manual_seed(2))
    for step in range(5):
        a, b = soft.draw(step, 0.7), sampled.draw(step, 0.7)
        torch.testing.assert_close(b.weights.amax(1), torch.ones(len(sampled.pairs)))
        torch.testing.assert_close(b.weights.sum(1), torch.ones(len(sampled.pairs)))
        assert torch.equal(b.weights.argmax(1), a.weights.argmax(1))
        for sampler, mixture in ((soft, a), (sampled, b)):
            sampler.logits.grad = None
            (mixture.weights * cotangent).sum().backward()
        torch.testing.assert_close(sampled.logits.grad, soft.logits.grad)
        assert sampled.logits.grad.abs().max() > 0


def test_sampled_estimator_computes_only_what_it_drew() -> None:
    sampler = build(9, estimator="sampled")
    mixture = sampler.draw(0, 1.0)
    for row, pair in enumerate(mixture.pairs):
        assert mixture.active_kinds(pair) == {mixture.kinds[mixture.weights[row].argmax()]}


def test_soft_estimator_computes_the_whole_pool() -> None:
    sampler = build()
    mixture = sampler.draw(0, 1.0)
    assert {pair: mixture.active_kinds(pair) for pair in sampler.pairs} == {
        p: frozenset(k) for p, k in sampler.pools.items()
    }


@both
def test_refresh_drops_candidates_but_changes_no_result(estimator: str) -> None:
    sampler = build(estimator=estimator)
    pair = Pair("a", "c")
    set_logits(sampler, pair, local=0.9, none=0.1)
    sampler.commit()
    before = sampler.draw(2, 0.8)
    sampler.refresh()
    after = sampler.draw(2, 0.8)
    assert torch.equal(before.weights, after.weights)
    assert after.active_kinds(pair) == {"local"}
    for row, other in enumerate(sampler.pairs):
        dropped = before.active_kinds(other) - after.active_kinds(other)
        assert all(before.weights[row, sampler.kinds.index(kind)] == 0 for kind in dropped)


# Entropy and probabilities.


@pytest.mark.parametrize(
    "pools",
    [
        {**POOLS, SETTLED: ("local",)},
        {Pair("a", "b"): ("none", "mti"), Pair("b", "a"): ("none", "mti", "local"), SETTLED: ("local",)},
        {Pair("a", "b"): ("none", "mti"), SETTLED: ("local",)},
    ],
    ids=["full", "two or three kinds", "one pair that chooses"],
)
def test_entropy_at_the_start_is_the_uniform_entropy(pools: dict[Pair, tuple[str, ...]]) -> None:
    sampler = Sampler(pools)
    choosing = [len(pool) for pool in sampler.pools.values() if len(pool) > 1]
    assert len(choosing) < len(sampler.pools), "a pair without a choice must not count"
    expected = sum(math.log(size) for size in choosing) / len(choosing)
    assert sampler.uniform_entropy() == pytest.approx(expected)
    assert sampler.entropy().item() == pytest.approx(expected, rel=1e-6)


def test_entropy_equals_its_definition_and_has_a_finite_gradient() -> None:
    sampler = build(4)
    own = [sampler.logits[row, sampler.pool[row]] for row in range(len(sampler.pairs)) if sampler.pool[row].sum() > 1]
    expected = torch.stack([-(x.softmax(0) * x.log_softmax(0)).sum() for x in own]).mean()
    torch.testing.assert_close(sampler.entropy(), expected)
    (grad,) = torch.autograd.grad(sampler.entropy(), sampler.logits)
    (wanted,) = torch.autograd.grad(expected, sampler.logits)
    torch.testing.assert_close(grad, wanted)
    assert (grad[~sampler.pool] == 0).all()


def test_probability_table_lists_each_pool_and_sums_to_one() -> None:
    sampler = build(4)
    for pair, row in sampler.probability_table().items():
        assert tuple(row) == sampler.pools[pair]
        assert sum(row.values()) == pytest.approx(1, abs=1e-6)


# State.


def test_state_dict_round_trip_keeps_logits_commits_and_choice() -> None:
    one = build(3, seed=1)
    set_logits(one, Pair("c", "a"), tlabel=0.8, none=0.2)
    one.commit()
    set_logits(one, Pair("c", "a"), tlabel=0.2, none=0.8)
    stream = io.BytesIO()
    torch.save(one.state_dict(), stream)
    stream.seek(0)
    two = build(seed=1)
    two.load_state_dict(torch.load(stream, weights_only=True))
    assert torch.equal(one.committed, two.committed)
    assert one.chosen() == two.chosen()
    assert two.chosen()[Pair("c", "a")] == "tlabel"
    assert torch.equal(one.draw(11, 0.4).weights, two.draw(11, 0.4).weights)


def test_a_resumed_search_computes_what_the_interrupted_one_did() -> None:
    """Which pairs were seen to have committed, not which have: what is computed together changes rounding."""
    one, two = build(), build()
    for pair, look in ((Pair("c", "a"), one.refresh), (Pair("a", "b"), lambda: None)):
        set_logits(one, pair, tlabel=0.8, none=0.2)
        one.commit()
        look()
    two.load_state_dict(one.state_dict())
    assert two.draw(0, 1.0).active == one.draw(0, 1.0).active
    assert two.draw(0, 1.0).active_kinds(Pair("c", "a")) == {"tlabel"}
    assert len(two.draw(0, 1.0).active_kinds(Pair("a", "b"))) > 1


def test_state_dict_has_the_same_keys_before_and_after_a_commit() -> None:
    sampler = build()
    before = {key: value.shape for key, value in sampler.state_dict().items()}
    assert before.keys() == {"logits", "committed", "choice", "seen"}
    set_logits(sampler, Pair("c", "a"), tlabel=0.8, none=0.2)
    sampler.commit()
    assert {key: value.shape for key, value in sampler.state_dict().items()} == before


def test_rows_follow_the_order_of_the_pools() -> None:
    assert build().pairs == (*all_pairs(TASKS, (4,)), SETTLED)


# Mixture.


def test_one_hot_mixture_computes_one_kind_per_pair() -> None:
    chosen = {Pair("a", "b"): "local", Pair("b", "a"): "none"}
    mixture = Mixture.one_hot(chosen)
    for pair, kind in chosen.items():
        assert mixture.active_kinds(pair) == {kind}
        assert {k: mixture.weight(pair, k).item() for k in mixture.kinds} == {
            k: float(k == kind) for k in mixture.kinds
        }


def test_mixture_from_numbers_skips_kinds_of_weight_zero() -> None:
    pair = Pair("a", "b")
    mixture = Mixture.from_weights({pair: {"none": 0.25, "local": 0.75, "mti": 0.0}})
    assert mixture.active_kinds(pair) == {"none", "local"}
    assert mixture.weight(pair, "local").item() == 0.75


def test_the_two_most_likely_kinds_are_chosen_together_unless_one_is_none() -> None:
    sampler = build(choose=2, commit_gap=0.3)
    first, second, third, fourth = list(POOLS)[:4]
    set_logits(sampler, first, local=0.4, **{"global": 0.35}, mti=0.25)
    set_logits(sampler, second, none=0.4, mti=0.35, local=0.25)
    set_logits(sampler, third, mti=0.4, none=0.35, local=0.25)
    set_logits(sampler, fourth, mti=0.7, local=0.2, none=0.1)
    for _ in range(2):
        chosen = sampler.chosen()
        assert chosen[first] == "global+local"
        assert chosen[second] == "none"
        assert chosen[third] == "mti"
        assert chosen[fourth] == "local+mti"
        assert chosen[SETTLED] == "local"
        sampler.commit()  # of these the fourth, whose second kind still joins it
    assert sampler.committed[sampler.pairs.index(fourth)]
    mixture = sampler.argmax_mixture()
    assert mixture.active_kinds(first) == {"local", "global"}
    assert mixture.weight(first, "local") == mixture.weight(first, "global") == 0.5


def test_undecided_are_the_pairs_that_did_not_commit_with_the_lead_of_their_best_kind() -> None:
    sampler = build(commit_gap=0.3)
    near, clear, late = list(POOLS)[:3]
    set_logits(sampler, near, local=0.45, none=0.35, mti=0.2)
    set_logits(sampler, clear, mti=0.7, local=0.2, none=0.1)
    set_logits(sampler, late, local=0.8, none=0.2)
    sampler.commit()
    set_logits(sampler, late, local=0.5, none=0.5)  # what has committed stays decided
    found = sampler.undecided()
    assert found[near] == pytest.approx(0.1, abs=1e-6)
    assert not {clear, late, SETTLED} & set(found)
    assert [found[pair] for pair in list(POOLS)[3:]] == [0.0] * (len(POOLS) - 3), "equal logits"
    sampler.commit_gap = found[near]
    assert near not in sampler.undecided(), "a lead of the gap itself decides"


def test_two_are_chosen_of_a_pool_of_two_and_one_of_a_pool_of_one() -> None:
    sampler = Sampler({Pair("a", "b"): ("global", "local"), SETTLED: ("local",)}, choose=2)
    set_logits(sampler, Pair("a", "b"), local=0.6, **{"global": 0.4})
    assert sampler.chosen() == {Pair("a", "b"): "global+local", SETTLED: "local"}
