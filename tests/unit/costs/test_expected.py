"""The cost term is the mean over all configs by their probabilities, and weighs cost against the loss."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from atrcnas.costs.expected import CostTerm
from atrcnas.costs.table import BASE
from atrcnas.sampling.sampler import Sampler
from tests.unit.costs.test_pressure import sampler
from tests.unit.costs.test_table import AA, POOLS, planted

WEIGHTS = {"latency_ms": 0.3, "parameters": 2.0}


def by_brute_force(of: Sampler) -> Tensor:
    """Every config's cost times its probability, a committed pair being certain; with the gradient of the logits."""
    table, rows = planted(), of.probabilities()
    total = rows.new_zeros(())
    for kinds in itertools.product(*POOLS.values()):
        chance = rows.new_ones(())
        for row, kind in enumerate(kinds):
            column = of.kinds.index(kind)
            chance = chance * (float(of.choice[row] == column) if of.committed[row] else rows[row, column])
        config = dict(zip(POOLS, kinds, strict=True))
        for measure, weight in WEIGHTS.items():
            total = total + chance * weight * (table.predict(config, measure) / table.costs[measure][BASE] - 1)
    return total


@pytest.mark.parametrize("committed", [False, True])
def test_the_term_and_its_gradient_are_those_of_all_configs(committed: bool) -> None:
    of = sampler()
    of.committed[1], of.choice[1] = committed, of.kinds.index("slabel")
    term, expected = CostTerm(planted(), WEIGHTS, of).double()(), by_brute_force(of)
    torch.testing.assert_close(term, expected, rtol=1e-6, atol=0)
    gradients = [torch.autograd.grad(one, of.logits)[0] for one in (term, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-9)
    assert (gradients[0][1] == 0).all() == committed


@pytest.mark.parametrize(("weight", "chosen"), [(0.05, "local"), (0.5, "none")])
def test_a_kind_is_chosen_if_it_saves_more_than_it_costs(weight: float, chosen: str) -> None:
    """`local` lowers the loss by 0.1, and costs more or less than that."""
    of = Sampler(POOLS)
    table, row, column = planted(), of.pairs.index(AA), of.kinds.index("local")
    base = table.costs["latency_ms"][BASE]
    more = table.predict({pair: "local" if pair == AA else "none" for pair in POOLS}, "latency_ms") / base - 1
    term = CostTerm(table, {"latency_ms": weight / more}, of)
    optimizer = torch.optim.Adam([of.logits], 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (term() - 0.1 * of.probabilities()[row, column]).backward()
        optimizer.step()
    assert of.chosen()[AA] == chosen
    assert {kind for pair, kind in of.chosen().items() if pair != AA} == {"none"}, "what saves nothing is not worth it"


def test_in_the_unit_of_the_network_without_contexts() -> None:
    of = sampler()
    with torch.no_grad():
        of.logits.fill_(0)
        of.logits[:, of.kinds.index("none")] = 100.0
    assert CostTerm(planted(), WEIGHTS, of).double()().item() == pytest.approx(0, abs=1e-6)


def test_a_scale_multiplies_the_gradient_of_each_pair_and_not_the_value() -> None:
    of = sampler()
    term, scale = CostTerm(planted(), WEIGHTS, of).double(), torch.arange(1.0, 1 + len(of.pairs), dtype=torch.float64)
    plain, scaled = term(), term(scale)
    assert plain.item() == scaled.item()
    plain, scaled = (torch.autograd.grad(one, of.logits)[0] for one in (plain, scaled))
    torch.testing.assert_close(scaled, plain * scale[:, None])
