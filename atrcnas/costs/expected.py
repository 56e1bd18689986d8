"""The expected cost of a config whose kinds are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from atrcnas.costs.table import BASE, CostTable, terms
from atrcnas.sampling.sampler import Sampler


class ExpectedCost(nn.Module):
    """Cost under the probabilities of each pair, as a share of a unit.

    Pairs are independent, so a term that several kinds share is expected with one minus the probability that no pair
    uses any of them.

    Args:
        table: of the search space.
        units: measure -> what one unit of its cost is, > 0; M measures.
        sampler: whose pairs and kinds are meant.

    Attributes:
        base: [M], of the network without contexts.
        alone: [M, P, K], of a kind of a pair.
        shared: [S, P, K], 1 where a kind of a pair uses a shared term.
        each: [M, S], of the shared terms.
    """

    def __init__(self, table: CostTable, units: Mapping[str, float], sampler: Sampler) -> None:
        super().__init__()
        pairs, kinds = len(sampler.pairs), len(sampler.kinds)
        alone, shared, each = torch.zeros(len(units), pairs, kinds), [], []
        scaled = [{name: cost / units[measure] for name, cost in table.costs[measure].items()} for measure in units]
        for term, sites in terms(sampler.pools).items():
            places = [(sampler.pairs.index(pair), sampler.kinds.index(kind)) for pair, kind in sites]
            costs = torch.tensor([column[term.name] for column in scaled])
            if len(places) == 1:
                alone[:, places[0][0], places[0][1]] += costs
            else:
                member = torch.zeros(pairs, kinds)
                member[tuple(zip(*places, strict=True))] = 1
                shared.append(member)
                each.append(costs)
        self.register_buffer("base", torch.tensor([column[BASE] for column in scaled]), persistent=False)
        self.register_buffer("alone", alone, persistent=False)
        self.register_buffer(
            "shared", torch.stack(shared) if shared else torch.zeros(0, pairs, kinds), persistent=False
        )
        self.register_buffer("each", torch.stack(each, 1) if each else torch.zeros(len(units), 0), persistent=False)
        self.base: Tensor
        self.alone: Tensor
        self.shared: Tensor
        self.each: Tensor

    def forward(self, probability: Tensor) -> Tensor:
        """[..., M] under probabilities [..., P, K]."""
        each = probability[..., None, :, :]
        unused = (1 - (self.shared * each).sum(-1)).prod(-1)
        return self.base + (self.alone * each).sum((-2, -1)) + (1 - unused) @ self.each.T


class CostTerm(nn.Module):
    """What a search by gradient adds to the loss of the logits for what contexts cost.

    It is the sum over measures of ``weight * (expected cost / cost without contexts - 1)``: with a weight of 0.1,
    contexts that double the cost have to lower the loss by 0.1 to be worth it.

    Args:
        table: of the search space.
        weights: measure -> weight, > 0.
        sampler: whose probabilities are meant.

    Source: Cai et al., ProxylessNAS, ICLR 2019, section 3.3.1. Differs: a share of the cost without contexts.
    """

    def __init__(self, table: CostTable, weights: Mapping[str, float], sampler: Sampler) -> None:
        super().__init__()
        self.units = {measure: table.costs[measure][BASE] / weight for measure, weight in weights.items()}
        self.cost, self._sampler = ExpectedCost(table, self.units, sampler), (sampler,)  # in a tuple: not a submodule

    def values(self) -> dict[str, float]:
        """For metrics.csv: expected costs; reads from the device."""
        (sampler,) = self._sampler
        expected = self.cost(sampler.settled(sampler.probabilities())).tolist()
        return {
            f"expected_{name}": cost * unit for cost, (name, unit) in zip(expected, self.units.items(), strict=True)
        }

    def forward(self, scale: Tensor | None = None) -> Tensor:
        """The scalar, with the gradient of the logits.

        Args:
            scale: [P], what each pair's part of the gradient is multiplied by; None: it is left as it is.
        """
        (sampler,) = self._sampler
        probability = sampler.probabilities()
        if scale is not None:
            scaled = probability * scale[:, None]
            probability = scaled + (probability - scaled).detach()
        cost: Tensor = self.cost(sampler.settled(probability))
        return (cost - self.cost.base).sum()
