"""The sampler: logits of every pair, the mixtures drawn from them, and the rule by which a pair commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.gumbel import gumbel
from atrcnas.spec.kinds import NONE, joined
from atrcnas.spec.pairs import Pair


class Sampler(nn.Module):
    """Architecture parameters of a search.

    Draws are a function of (seed, step) alone and made on the CPU, so that every device and every process of a
    distributed search sees the same mixture, and a resumed search the same as an uninterrupted one.

    Args:
        pools: kinds per pair.
        seed: of the Gumbel noise.
        commit_gap: a pair commits once its two largest probabilities differ by at least this.
        estimator: "soft" mixes all candidates; "sampled" computes only the drawn one, with the gradient of its soft
            weight (straight-through).
        noise: Gumbel noise; without it the mixture is the plain softmax of DARTS.
        choose: kinds of a pair in :meth:`chosen`, 1 or 2; the search itself is the same.

    Attributes:
        logits: [P, K], what is learned.
        tilt: [P, K], what is taken off the logits for what kinds cost, see :class:`~atrcnas.costs.pressure.Pressure`;
            zeros without a budget.
        at_once: how many pairs may commit in one step, those that lead by most; None: all that lead by enough.

    Raises:
        ConfigError: no pools, or one that is empty or text.

    Source: Bruggemann et al. 2021, section 3.3 (Gumbel-softmax of Jang et al., ICLR 2017); "sampled": Dong and Yang,
    CVPR 2019 (GDAS). Differs: the pairs of a kind share tensors, so that in a sampled step weight decay and momentum
    also move the rows of pairs that did not draw a kind which another pair drew.
    """

    def __init__(
        self,
        pools: Mapping[Pair, tuple[str, ...]],
        *,
        seed: int = 0,
        commit_gap: float = 0.3,
        estimator: Literal["soft", "sampled"] = "soft",
        noise: bool = True,
        choose: int = 1,
    ) -> None:
        super().__init__()
        for pair, kinds in pools.items():
            if isinstance(kinds, str) or not kinds:
                raise ConfigError(f"'{pair}': expected a tuple of kinds, got {kinds!r}. Write e.g. ('none', 'local').")
        if choose not in (1, 2):
            raise ConfigError(f"choose: expected 1 or 2 kinds for a pair, got {choose!r}.")
        if not pools:
            raise ConfigError("pools: expected at least one pair, got none. SearchSpace.pools(tasks) makes them.")
        self.pools = dict(pools)
        self.pairs = tuple(pools)
        self.kinds = tuple(dict.fromkeys(kind for pool in pools.values() for kind in pool))
        self.seed, self.commit_gap, self.estimator, self.noise = seed, commit_gap, estimator, noise
        self.choose = choose
        self.at_once: int | None = None
        pool = torch.tensor([[kind in self.pools[pair] for kind in self.kinds] for pair in self.pairs])
        self.logits = nn.Parameter(torch.zeros(pool.shape))
        self.num_choosing = max(int((pool.sum(1) > 1).sum()), 1)
        self.register_buffer("pool", pool, persistent=False)
        self.register_buffer("tilt", torch.zeros(pool.shape), persistent=False)
        self.register_buffer("committed", pool.sum(1) == 1)
        self.register_buffer("choice", pool.int().argmax(1))
        self.pool: Tensor
        self.tilt: Tensor
        self.committed: Tensor
        self.choice: Tensor
        self.register_buffer("seen", self.committed.clone())
        self.seen: Tensor
        self.register_load_state_dict_post_hook(lambda module, _: module._activate())  # type: ignore[no-untyped-call]
        self._activate()

    def masked_logits(self) -> Tensor:
        """[P, K] logits less the tilt, -inf outside of the pools."""
        return (self.logits - self.tilt).masked_fill(~self.pool, -torch.inf)

    def probabilities(self) -> Tensor:
        """[P, K] softmax of the logits less the tilt; never a random draw."""
        return self.masked_logits().softmax(1)

    def settled(self, probability: Tensor) -> Tensor:
        """[..., P, K] probabilities, where a pair that has committed is certain."""
        certain = F.one_hot(self.choice, len(self.kinds)).to(probability)
        return torch.where(self.committed[:, None], certain, probability)

    def entropy(self) -> Tensor:
        """Mean of the entropy of the probabilities of those pairs that have a choice, in nats."""
        log = self.masked_logits().log_softmax(1).masked_fill(~self.pool, 0.0)
        return -(log.exp() * log * self.pool).sum() / self.num_choosing

    def uniform_entropy(self) -> float:
        """The entropy at the start, when every candidate is equally likely."""
        return float(self.pool.sum(1).to(torch.float64).log().sum()) / self.num_choosing

    def draw(self, step: int, tau: float) -> Mixture:
        """Draw the mixture of a training step.

        Args:
            step: 0, 1, ...; the same step gives the same noise.
            tau: temperature > 0.
        """
        noisy = self._noisy(step) if self.noise else self.masked_logits()
        soft = (noisy / tau).softmax(1)
        if self.estimator == "sampled":
            drawn = torch.where(self.committed, self.choice, noisy.argmax(1))
            hard = F.one_hot(drawn, len(self.kinds)).to(soft)
            soft = hard + soft - soft.detach()
            # The one synchronisation of a sampled step: the host must know what to compute.
            active = tuple(frozenset({self.kinds[column]}) for column in drawn.tolist())
        else:
            active = self._active
        return Mixture(self.pairs, self.kinds, self.settled(soft), active)

    @torch.no_grad()
    def sample(self, step: int, number: int) -> Tensor:
        """[P] columns of ``kinds``: one config from the probabilities, or what a pair has committed to.

        Args:
            step: 0, 1, ...; the same step and number give the same config of the same logits.
            number: 0, 1, ... of several independent draws.
        """
        return torch.where(self.committed, self.choice, self._noisy(step, number).argmax(1))

    def _noisy(self, step: int, number: int = 0) -> Tensor:
        """[P, K] logits with Gumbel noise."""
        noise, masked = gumbel(self.pool.shape, self.seed, step, number), self.masked_logits()
        return masked + noise.to(masked, non_blocking=True)

    def argmax_mixture(self) -> Mixture:
        """The one-hot mixture of the current choice, for validation."""
        return Mixture.one_hot(self.chosen()).to(self.logits.device)

    @torch.no_grad()
    def commit(self) -> None:
        """Settle for good every pair whose best kind leads by ``commit_gap``; no synchronisation."""
        best, gap = self._lead()
        newly = (gap >= self.commit_gap) & ~self.committed
        if self.at_once is not None:
            allowed = torch.zeros_like(newly)
            allowed[gap.masked_fill(~newly, -1).topk(min(self.at_once, len(gap))).indices] = True
            newly &= allowed
        self.choice.copy_(torch.where(newly, best, self.choice))
        self.committed |= newly

    def undecided(self) -> dict[Pair, float]:
        """The pairs that have not committed and are not about to, with the lead of their best kind, in [0, commit_gap)."""
        settled, gap = self.committed.tolist(), self._lead()[1].tolist()
        return {
            pair: gap[row] for row, pair in enumerate(self.pairs) if not settled[row] and gap[row] < self.commit_gap
        }

    def _lead(self) -> tuple[Tensor, Tensor]:
        """[P] columns of the most probable kinds, and [P] by how much each is ahead of the next."""
        top = self.probabilities().detach().topk(min(2, len(self.kinds)), dim=1)
        return top.indices[:, 0], top.values[:, 0] - top.values[:, 1:].sum(1)

    def chosen(self) -> dict[Pair, str]:
        """The kind of each pair: what it committed to, else the most likely one.

        If it may ``choose`` two, the most likely other kind joins it, unless either is ``none``.
        """
        best = torch.where(self.committed, self.choice, self.masked_logits().argmax(1))
        rest = self.masked_logits().scatter(1, best[:, None].long(), -torch.inf)
        found: dict[Pair, str] = {}
        for pair, first, second in zip(self.pairs, best.tolist(), rest.argmax(1).tolist(), strict=True):
            two = (self.kinds[first], self.kinds[second])
            whole = self.choose == 2 and len(self.pools[pair]) > 1 and NONE not in two
            found[pair] = joined(two) if whole else two[0]
        return found

    def probability_table(self) -> dict[Pair, dict[str, float]]:
        """Probability of each kind in each pair's pool."""
        rows = self.probabilities().tolist()
        return {
            pair: {kind: row[self.kinds.index(kind)] for kind in self.pools[pair]}
            for pair, row in zip(self.pairs, rows, strict=True)
        }

    def refresh(self) -> None:
        """Let the host see which pairs have committed, so that their other candidates are no longer computed.

        Reads from the device; call it now and then, at fixed steps: the other candidates' weights are zero, but which
        pairs are computed together changes rounding. What was seen is part of the state, for an exact resume.
        """
        self.seen.copy_(self.committed)
        self._activate()

    def _activate(self) -> None:
        seen, choice = self.seen.tolist(), self.choice.tolist()
        self._active = tuple(
            frozenset({self.kinds[choice[row]]}) if seen[row] else frozenset(self.pools[pair])
            for row, pair in enumerate(self.pairs)
        )
