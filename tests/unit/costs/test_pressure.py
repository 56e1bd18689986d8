"""The expected cost is that of all configs by their probabilities, and a search under pressure keeps to its budget."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from atrcnas.costs.choosing import Limits
from atrcnas.costs.pressure import Pressure
from atrcnas.sampling.sampler import Sampler
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


def test_the_gradient_is_that_of_the_expected_cost() -> None:
    of = sampler()
    under = pressure(of)
    under.multiplier.fill_(2.0)
    assert torch.autograd.gradcheck(
        lambda logits: (setattr(of.logits, "data", logits.data), under.term())[1], of.logits, atol=1e-4
    )


def test_the_multiplier_rises_over_the_budget_and_rests_at_zero_below_it() -> None:
    over, below = pressure(sampler(), 21.0), pressure(sampler(), 1000.0)
    for _ in range(5):
        over.after_step()
        below.after_step()
    assert over.multiplier[0] > 0
    assert below.multiplier.tolist() == [0, 0]


@pytest.mark.parametrize("limit", [21.0, 26.0, 32.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_wants_the_dearest_kinds_ends_within_its_budget(limit: float, seed: int) -> None:
    of = Sampler(POOLS).double()
    under = pressure(of, limit, steps=300)
    wish = torch.rand(of.logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    wish[:, of.kinds.index("none")] = -1
    optimizer = torch.optim.Adam([of.logits], 20 / 300)
    for step in range(300):
        optimizer.zero_grad()
        (under.term() - (wish * of.probabilities()).sum() + (step / 300 * 0.08 - 0.02) * of.entropy()).backward()
        optimizer.step()
        under.after_step()
    assert under.limits.excess(under.chosen()) == 0
    assert float(under.expected()[0].detach()) < 1.1  # not by the last correction alone


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
    one, two = pressure(sampler(), 21.0), pressure(sampler(), 21.0)
    one.after_step()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.multiplier, two.multiplier)
