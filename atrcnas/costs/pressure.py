"""What keeps a search by gradient within its budget: the expected cost as a term of the loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.costs.choosing import Limits, affordable
from atrcnas.costs.table import BASE, terms
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.pairs import Pair

# How far the multiplier rises in a whole search whose expected cost stays at twice the budget.
TRAVEL = 1000.0


class Pressure(nn.Module):
    """The expected cost of the probabilities, and a multiplier that rises while it is above the budget.

    Pairs are independent, so a term that several kinds share is expected with one minus the probability that no pair
    uses any of them.

    Args:
        limits: of the search space.
        sampler: whose probabilities are meant.
        steps: of the search.

    Attributes:
        multiplier: [M], one per measure, >= 0; part of the state.

    Source: dual ascent on the constraint, as in Bertsekas, Constrained Optimization and Lagrange Multiplier Methods,
    1982, section 2.6.
    """

    def __init__(self, limits: Limits, sampler: Sampler, steps: int) -> None:
        super().__init__()
        self.limits, self.rate = limits, TRAVEL / steps
        self._sampler = (sampler,)  # in a tuple: not a submodule
        table, largest = limits.table, limits.largest
        pairs, kinds = len(sampler.pairs), len(sampler.kinds)
        alone, shared, each = torch.zeros(len(largest), pairs, kinds), [], []
        scaled = [{name: cost / largest[measure] for name, cost in table.costs[measure].items()} for measure in largest]
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
        self.register_buffer("each", torch.stack(each, 1) if each else torch.zeros(len(largest), 0), persistent=False)
        self.register_buffer("multiplier", torch.zeros(len(largest)))
        self.base: Tensor
        self.alone: Tensor
        self.shared: Tensor
        self.each: Tensor
        self.multiplier: Tensor

    @property
    def sampler(self) -> Sampler:
        """The sampler."""
        return self._sampler[0]

    def expected(self) -> Tensor:
        """[M] expected cost of a config drawn from the probabilities, as a share of the budget."""
        sampler = self.sampler
        settled = F.one_hot(sampler.choice, len(sampler.kinds)).to(sampler.logits)
        probability = torch.where(sampler.committed[:, None], settled, sampler.probabilities())
        unused = (1 - (self.shared * probability).sum(2)).prod(1)
        return self.base + (self.alone * probability).sum((1, 2)) + self.each @ (1 - unused)

    def term(self) -> Tensor:
        """What is added to the loss of the logits."""
        return (self.multiplier * (self.expected() - 1)).sum()

    def values(self) -> dict[str, float]:
        """For metrics.csv: expected costs and multipliers; reads from the device."""
        expected, multiplier = self.expected().tolist(), self.multiplier.tolist()
        return {
            name: value
            for place, (measure, limit) in enumerate(self.limits.largest.items())
            for name, value in (
                (f"expected_{measure}", expected[place] * limit),
                (f"pressure_{measure}", multiplier[place]),
            )
        }

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the multiplier by how far the expected cost is over or under the budget."""
        self.multiplier.copy_((self.multiplier + self.rate * (self.expected() - 1)).clamp_min(0))

    @torch.no_grad()
    def chosen(self) -> dict[Pair, str]:
        """The most likely config within the budget."""
        sampler, best = self.sampler, self.sampler.chosen()
        log = sampler.masked_logits().log_softmax(1).tolist()
        liking = {
            pair: {kind: row[sampler.kinds.index(kind)] for kind in sampler.pools[pair]}
            for pair, row in zip(sampler.pairs, log, strict=True)
        }
        for pair, kind in best.items():  # what the pair has committed to, or two kinds together
            liking[pair][kind] = max(0.0, *liking[pair].values())
        return affordable(liking, self.limits.excess)
