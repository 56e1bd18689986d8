"""`paired`: the logits learn from the difference between configs on the same batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.averaging import mean_over_processes
from atrcnas.sampling.estimators import Estimator
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.recipe import SearchSpec

MOMENTUM = 0.95  # of the running size of a target's differences
# Differences up to this share of the loss are rounding: contexts start closed, and the first ones are nothing else.
ROUNDING = 1e-6


class Paired(Estimator):
    """Several configs per step, drawn from the probabilities; each target's pairs learn only from that target's loss.

    All configs see the same batch, backbone and task features, so that the noise of the batch is the same in each and
    cancels in their differences; and a target's loss is hardly moved by what was drawn for another target. The step
    costs at most as many context passes as there are draws, whatever the size of the pool.

    With R draws, L_tr the loss of target t under draw r, and the leave-one-out baseline b_tr, the mean of L_t over the
    other draws, the logits descend ``1/R sum_r (L_tr - b_tr) / s_t sum_p log p(kind of pair p in r)`` over the pairs p
    of t. Its gradient is an unbiased estimate of that of the expected L_t, up to s_t, a running mean of
    ``|L_tr - b_tr|`` that puts targets with large and small losses on one scale.

    Source: Williams 1992 (REINFORCE); Kool et al. 2019 (leave-one-out baseline). Differs: credit per target.
    """

    def __init__(self, sampler: Sampler, recipe: SearchSpec) -> None:
        super().__init__(sampler, recipe)
        self.targets = tuple(dict.fromkeys(pair.target for pair in sampler.pairs))
        owner = torch.tensor([self.targets.index(pair.target) for pair in sampler.pairs])
        self.register_buffer("owner", F.one_hot(owner, len(self.targets)).float(), persistent=False)
        self.register_buffer("size", torch.zeros(len(self.targets)))
        self.owner: Tensor
        self.size: Tensor
        self._drawn = torch.empty(0, dtype=torch.long)
        self._computed: list[int] = []  # of each draw, the place of its mixture

    def draw(self, step: int, tau: float) -> Sequence[Mixture]:
        """As many configs as ``search.draws``, without the temperature."""
        sampler = self.sampler
        self._drawn = torch.stack([sampler.sample(step, number) for number in range(self.recipe.draws)])
        # The one synchronisation of a step: the host must know what to compute; equal configs are computed once.
        drawn = [tuple(row) for row in self._drawn.tolist()]
        configs = list(dict.fromkeys(drawn))
        self._computed = [configs.index(row) for row in drawn]
        return [
            Mixture.one_hot(
                {pair: sampler.kinds[column] for pair, column in zip(sampler.pairs, row, strict=True)}, sampler.kinds
            ).to(sampler.logits.device)
            for row in configs
        ]

    def term(self, step: int, mixtures: Sequence[Mixture], parts: Sequence[Mapping[str, Tensor]]) -> Tensor | None:
        """The sum above over all targets."""
        if len(mixtures) < 2:
            return None
        log = self.sampler.masked_logits().log_softmax(1)
        chosen = log.expand(len(self._drawn), *log.shape).gather(2, self._drawn[..., None])[..., 0]  # [R, P]
        computed = torch.stack([torch.stack([part[target] for target in self.targets]) for part in parts])
        losses = torch.stack([computed[place] for place in self._computed])
        advantage = self.advantages(mean_over_processes(losses.to(log)))
        return (advantage * (chosen @ self.owner.to(log))).mean(0).sum()

    def scale(self) -> Tensor:
        """[P] one over the running size of the differences of each pair's target; 0 before the first one."""
        return self.owner @ torch.where(self.size > 0, 1 / self.size, 0.0)

    @torch.no_grad()
    def advantages(self, losses: Tensor) -> Tensor:
        """[R, T] losses to their differences from the mean of the other draws, in units of the running size."""
        draws = len(losses)
        difference = (losses - losses.mean(0)) * draws / (draws - 1)
        difference = torch.where(difference.abs() > ROUNDING * losses.abs(), difference, 0.0)
        now = difference.abs().mean(0)
        followed = torch.where(self.size == 0, now, MOMENTUM * self.size + (1 - MOMENTUM) * now)
        self.size.copy_(torch.where(now > 0, followed, self.size))  # equal losses say nothing of their usual difference
        return difference / self.size.clamp_min(1e-12)
