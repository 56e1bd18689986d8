"""The expected cost is that of all configs by their probabilities, and a search under pressure keeps to its budget."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from atrcnas.costs.choosing import Limits
from atrcnas.costs.pressure import Pressure
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.pairs import Pair
from tests.unit.costs.test_table import AA, AB, POOLS, planted


def sampler(seed: int = 0, **options: object) -> Sampler:
    found = Sampler(POOLS, **options).double()
    with torch.no_grad():
        found.logits.copy_(torch.randn(found.logits.shape, generator=torch.Generator().manual_seed(seed)))
    return found


def pressure(of: Sampler, limit: float = 30.0, steps: int = 100) -> Pressure:
    return Pressure(Limits(planted(), {"latency_ms": limit, "parameters": 40.0}), of, steps).double()


@pytest.mark.parametrize("settled", [False, True])
def test_expected_cost_is_the_sum_over_all_configs_of_probability_times_cost(settled: bool) -> None:
    of = sampler()
    if settled:
        of.committed[1], of.choice[1] = True, of.kinds.index("slabel")
    under = pressure(of)
    table = of.probability_table()
    if settled:
        table[of.pairs[1]] = {kind: float(kind == "slabel") for kind in table[of.pairs[1]]}
    expected = 0.0
    for kinds in itertools.product(*POOLS.values()):
        config = dict(zip(POOLS, kinds, strict=True))
        chance = math.prod(table[pair][kind] for pair, kind in config.items())
        expected += chance * under.limits.table.predict(config, "latency_ms")
    torch.testing.assert_close(
        under.expected(), torch.tensor([expected / 30, expected / 40], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_probabilities_are_tilted_just_enough() -> None:
    of = sampler()
    under, free = pressure(of, 26.0), of.probabilities().detach()
    steps = under.steps
    for _ in range(8):  # costs are linear around the probabilities before
        under.after_step(steps)
    latency, parameters = under.expected().tolist()
    assert latency == pytest.approx(1, abs=2e-3) and parameters < 1
    assert under.multiplier[0] > 0 and under.multiplier[1] == 0
    # Nothing but cost is weighed against the logits.
    tilted = of.probabilities().detach()
    preference = (tilted / free).log() + of.tilt
    drawn = of.pool & (of.tilt < 1000)
    assert drawn.sum(1).min() > 1
    for row, there in zip(preference, drawn, strict=True):
        torch.testing.assert_close(row[there], row[there][:1].expand(int(there.sum())), rtol=0, atol=1e-12)


def test_nothing_is_tilted_within_the_budget() -> None:
    of = sampler()
    free = of.probabilities().detach()
    under = pressure(of, 1000.0)
    under.after_step(under.steps)
    assert under.multiplier.tolist() == [0, 0] and torch.equal(of.probabilities(), free)


def test_the_limit_falls_from_the_cost_of_even_draws_and_no_pair_commits_before_it_is_the_budget() -> None:
    of = Sampler(POOLS).double()
    under = pressure(of, 22.0, steps=100)
    with torch.no_grad():
        of.logits[:, of.kinds.index("local")] = 5.0
    limits, committed = [], [0]
    for step in range(100):
        under.after_step(step)
        of.commit()
        limits.append(float(under.limit(step)[0]))
        committed.append(int(of.committed.sum()))
        assert committed[-1] - committed[-2] in (0, 1)
    assert committed[:50] == [0] * 50 and committed[-1] >= 3
    assert limits[0] == pytest.approx(float(under.first[0]), rel=0.02) and limits[49:] == [1.0] * 51
    assert limits == sorted(limits, reverse=True)


@pytest.mark.parametrize("limit", [21.0, 26.0, 32.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_wants_the_dearest_kinds_uses_its_budget_well(limit: float, seed: int) -> None:
    of = Sampler(POOLS).double()
    under = pressure(of, limit, steps=300)
    wish = torch.rand(of.logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    wish[:, of.kinds.index("none")] = -1
    optimizer = torch.optim.Adam([of.logits], 20 / 300)
    for step in range(300):
        optimizer.zero_grad()
        (-(wish * of.probabilities()).sum() + (step / 300 * 0.08 - 0.02) * of.entropy()).backward()
        optimizer.step()
        under.after_step(step)
        of.commit()
    assert under.limits.excess(under.chosen()) == 0
    assert float(under.expected()[0].detach()) < 1.05  # not by the last correction alone

    def worth(kinds: dict[Pair, str]) -> float:
        return sum(float(wish[row, of.kinds.index(kinds[pair])]) for row, pair in enumerate(of.pairs))

    every = [dict(zip(POOLS, kinds, strict=True)) for kinds in itertools.product(*POOLS.values())]
    allowed = [worth(kinds) for kinds in every if under.limits.excess(kinds) == 0]
    assert worth(under.chosen()) > max(allowed) - 0.75  # a config drawn evenly has 2 to 3 less than the best


def test_two_kinds_of_a_pair_are_chosen_where_both_fit() -> None:
    of = sampler(choose=2)
    with torch.no_grad():
        of.logits[:] = 0
        of.logits[:2, of.kinds.index("local")] = 3
        of.logits[:2, of.kinds.index("global")] = 2
    assert pressure(of, 1000.0).chosen()[AA] == "global+local"
    chosen = pressure(of, 24.5).chosen()
    assert chosen[AA] != "global+local" or chosen[AB] != "global+local"


def test_state_goes_on_where_it_was() -> None:
    one, two = pressure(sampler(), 26.0), pressure(sampler(), 26.0)
    one.after_step(100)
    two.load_state_dict(one.state_dict())
    assert one.multiplier[0] > 0 and torch.equal(one.multiplier, two.multiplier)
    assert torch.equal(one.sampler.tilt, two.sampler.tilt)


@pytest.mark.parametrize("limit", [22.0, 27.0, 33.0, 45.0])
@pytest.mark.parametrize("settled", [False, True])
def test_a_kind_is_barred_if_no_config_with_it_is_within_the_budget(limit: float, settled: bool) -> None:
    """The cheapest kind of a pair is `none` here, so that the cheapest config with a kind has `none` elsewhere."""
    of = sampler()
    if settled:
        of.committed[1], of.choice[1] = True, of.kinds.index("slabel")
    under = pressure(of, limit)
    under.after_step(under.steps)
    table, barred = under.limits.table, of.tilt >= 1e4
    for row, pair in enumerate(of.pairs):
        for kind in POOLS[pair]:
            fixed = {of.pairs[1]: "slabel"} if settled else {}
            cheapest = {**dict.fromkeys(of.pairs, "none"), **fixed, pair: kind}
            over = table.predict(cheapest, "latency_ms") > limit or table.predict(cheapest, "parameters") > 40
            assert bool(barred[row, of.kinds.index(kind)]) == (over and not (settled and row == 1))


def test_on_another_device_nothing_is_mixed_or_read_back() -> None:
    """On tensors without values both are errors, as on a GPU the one is and the other would wait."""
    of = Sampler(POOLS).to("meta")
    under = Pressure(Limits(planted(), {"latency_ms": 26.0}), of, 100).to("meta")
    for step in (0, 99):
        under.after_step(step)
        of.commit()
    assert under.expected().device.type == of.tilt.device.type == "meta"
