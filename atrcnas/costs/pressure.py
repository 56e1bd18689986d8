"""What keeps a search by gradient within its budget: probabilities that are tilted towards cheap kinds, just enough."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.costs.choosing import Limits, affordable
from atrcnas.costs.expected import ExpectedCost
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.pairs import Pair

# The limit falls from what evenly drawn configs cost to the budget in this share of the search; then pairs may commit.
RAMP = 0.5
SMALLEST, LARGEST, POINTS = 1e-3, 1e4, 64  # multipliers that are tried, and how many in each of two rounds
BARRED = 1e4  # taken off the logit of a kind that cannot be had


class Pressure(nn.Module):
    """A multiplier that takes off each logit what its kind costs, the smallest that keeps the expected cost within a limit.

    With logits z and marginal costs c, pairs are drawn from softmax(z - multiplier c): of all distributions whose
    expected cost is within the limit, the one closest to softmax(z) in relative entropy, up to parts that pairs share.
    So the logits learn from the losses alone what each kind is worth, and cost is weighed against that anew after every
    step.

    Pairs commit one in a step, and only once the budget itself holds: what one of them leaves is there for the others. A
    kind that does not fit beside what has committed, with the cheapest of all other pairs, is not drawn any more.

    Args:
        limits: of the search space.
        sampler: whose probabilities are meant; its ``tilt`` is set.
        steps: of the search.

    Attributes:
        multiplier: [M], one per measure, >= 0, for costs as shares of their limits; part of the state.

    Source: Csiszar, I-divergence geometry of probability distributions and minimization problems, 1975. Differs: costs
    are taken as linear around the probabilities of the step before.
    """

    def __init__(self, limits: Limits, sampler: Sampler, steps: int) -> None:
        super().__init__()
        self.limits, self.steps = limits, steps
        self._sampler = (sampler,)  # in a tuple: not a submodule
        self.cost = ExpectedCost(limits.table, limits.allowed, sampler)
        grid = torch.tensor([0.0, *np.geomspace(SMALLEST, LARGEST, POINTS)], dtype=torch.float32)
        self.register_buffer("grid", grid, persistent=False)
        self.register_buffer("multiplier", torch.zeros(len(limits.allowed)))
        self.register_buffer("tilt", sampler.tilt)  # the sampler's own, saved and loaded with the multiplier
        self.grid: Tensor
        self.multiplier: Tensor
        self.tilt: Tensor
        even = torch.tensor([[(kind in pool) / len(pool) for kind in sampler.kinds] for pool in sampler.pools.values()])
        self.register_buffer("first", self.cost(even).clamp_min(1), persistent=False)
        self.first: Tensor

    @property
    def sampler(self) -> Sampler:
        """The sampler."""
        return self._sampler[0]

    def expected(self) -> Tensor:
        """[M] expected cost of a config drawn from the probabilities, as a share of the budget."""
        expected: Tensor = self.cost(self.sampler.settled(self.sampler.probabilities()))
        return expected

    def limit(self, step: int) -> Tensor:
        """[M] what the expected cost is kept to after a step, as a share of the budget: at last 1."""
        left = max(1 - (step + 1) / (RAMP * self.steps), 0.0)
        return 1 + (self.first - 1) * left

    def values(self) -> dict[str, float]:
        """For metrics.csv: expected costs and multipliers; reads from the device."""
        expected, multiplier = self.expected().tolist(), self.multiplier.tolist()
        return {
            name: value
            for place, (measure, limit) in enumerate(self.limits.allowed.items())
            for name, value in (
                (f"expected_{measure}", expected[place] * limit),
                (f"pressure_{measure}", multiplier[place]),
            )
        }

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Weigh costs against the logits as they are now; no synchronisation."""
        marginal, limit = self._marginal(), self.limit(step)
        barred = BARRED * self._misfits(marginal)
        for place in range(len(limit)):
            self.multiplier[place] = self._smallest(place, marginal, limit[place], barred)
        self.tilt.copy_((self.multiplier[:, None, None] * marginal).sum(0) + barred)
        self.sampler.at_once = 1 if step + 1 >= RAMP * self.steps else 0

    @torch.no_grad()
    def chosen(self) -> dict[Pair, str]:
        """The config within the budget that the logits like best, with what has committed."""
        sampler, best = self.sampler, self.sampler.chosen()
        log = sampler.logits.masked_fill(~sampler.pool, -torch.inf).log_softmax(1).tolist()
        liking = {
            pair: {kind: row[sampler.kinds.index(kind)] for kind in sampler.pools[pair]}
            for pair, row in zip(sampler.pairs, log, strict=True)
        }
        committed = dict(zip(sampler.pairs, sampler.committed.tolist(), strict=True))
        for pair, kind in best.items():
            if committed[pair] or kind not in sampler.kinds:  # two kinds together have no logit of their own
                liking[pair][kind] = max(0.0, *liking[pair].values())
        return affordable(liking, self.limits.excess)

    def _marginal(self) -> Tensor:
        """[M, P, K] how the expected cost grows with each probability, from the cheapest kind of its pair on."""
        with torch.enable_grad():
            probability = self.sampler.settled(self.sampler.probabilities().detach()).requires_grad_()
            cost = self.cost(probability)
            rows = [torch.autograd.grad(one, probability, retain_graph=True)[0] for one in cost]
        marginal = torch.stack(rows)
        cheapest = marginal.masked_fill(~self.sampler.pool, torch.inf).amin(2, keepdim=True)
        return (marginal - cheapest).masked_fill(~self.sampler.pool, 0.0)

    def _misfits(self, marginal: Tensor) -> Tensor:
        """[P, K] kinds that break the budget beside what has committed, even with the cheapest of all other pairs."""
        sampler = self.sampler
        order = marginal.sum(0).masked_fill(~sampler.pool, torch.inf)
        least = sampler.settled(F.one_hot(order.argmin(1), len(sampler.kinds)).to(marginal))
        without = self.cost.shared * least
        without = without.sum((1, 2), keepdim=True) - without.sum(2, keepdim=True)  # [S, P, 1] uses by other pairs
        shared = torch.einsum("ms,spk->mpk", self.cost.each, ((without + self.cost.shared) > 0).to(marginal))
        alone = self.cost.alone * least
        alone = alone.sum((1, 2), keepdim=True) - alone.sum(2, keepdim=True) + self.cost.alone
        over = (self.cost.base[:, None, None] + alone + shared > 1).any(0)
        return over & ~sampler.committed[:, None]

    def _smallest(self, place: int, marginal: Tensor, limit: Tensor, barred: Tensor) -> Tensor:
        """The smallest multiplier of one measure that keeps to its limit, given those of the others."""
        others = self.multiplier.clone()
        others[place] = 0
        logits = self.sampler.logits - (others[:, None, None] * marginal).sum(0) - barred
        logits = logits.masked_fill(~self.sampler.pool, -torch.inf)
        tried = self.grid
        for _ in range(2):
            probability = (logits - tried[:, None, None] * marginal[place]).softmax(-1)
            within = self.cost(self.sampler.settled(probability))[:, place] <= limit
            high = torch.where(within, tried, LARGEST).amin()
            low = torch.where(within, 0.0, tried).masked_fill(tried > high, 0.0).amax()
            tried = low + (high - low) * torch.linspace(0, 1, POINTS, device=logits.device, dtype=logits.dtype)
        return high
