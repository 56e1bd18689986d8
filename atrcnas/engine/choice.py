"""The choice of a search: the sampler, the optimiser of its logits, what is added to their loss, the commit rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atrcnas.costs.expected import CostTerm
from atrcnas.costs.pressure import Pressure
from atrcnas.engine.losses import Losses
from atrcnas.ground.registry import resolve
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.estimators import Estimator
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import SearchSpec
from atrcnas.spec.strategies import ESTIMATORS

# Steps between two looks at which pairs have committed; fixed, since it has an effect on rounding.
REFRESH_EVERY = 10


def linear(ends: tuple[float, float], step: float, steps: float) -> float:
    """From ``ends[0]`` at step 0 linearly towards ``ends[1]``, which step ``steps`` (the first not taken) would have."""
    return ends[0] + (ends[1] - ends[0]) * (step / steps)


def build_sampler(pools: Mapping[Pair, tuple[str, ...]], recipe: SearchSpec, seed: int, num_kinds: int = 1) -> Sampler:
    """The logits of a search by ``recipe``; ``num_kinds`` is how many a pair may end with, see ``choose`` of a space."""
    return Sampler(
        pools,
        seed=seed,
        commit_gap=recipe.commit_gap,
        estimator="sampled" if recipe.estimator == "sampled" else "soft",
        noise=recipe.noise,
        choose=num_kinds,
    )


class Choice:
    """What a search decides with.

    Args:
        sampler: the logits, on their device.
        recipe: schedules, rates and the estimator.
        pressure: keeps the expected cost within the budget; None without one.
        cost: weighs the expected cost against the loss; None without.

    Attributes:
        parameters: the logits.
        optimizer: of the logits; Adam without decay.
    """

    def __init__(
        self, sampler: Sampler, recipe: SearchSpec, pressure: Pressure | None = None, cost: CostTerm | None = None
    ) -> None:
        self.sampler, self.recipe = sampler, recipe
        self.pressure = None if pressure is None else pressure.to(sampler.logits)
        self.cost = None if cost is None else cost.to(sampler.logits)
        self.parameters = [sampler.logits]
        self.optimizer = torch.optim.Adam(self.parameters, recipe.logits_rate)
        self.estimator: Estimator = resolve(ESTIMATORS[recipe.estimator].module)(sampler, recipe)
        self.estimator.to(sampler.logits.device)

    def tau(self, step: int) -> float:
        """Temperature of a step."""
        return linear(self.recipe.tau, step, self.recipe.steps)

    def entropy_weight(self, step: int) -> float:
        """Weight of the entropy term in a step."""
        return linear(self.recipe.entropy_weight, step, self.recipe.steps)

    def rests(self, step: int) -> bool:
        """Whether the logits are still held where they start."""
        return step < self.recipe.logits_warm_up * self.recipe.steps

    def draw(self, step: int) -> Sequence[Mixture]:
        """The mixtures of a step: one, or several that are computed on the same batch."""
        return self.estimator.draw(step, self.tau(step))

    def objective(self, step: int, mixtures: Sequence[Mixture], losses: Losses) -> Tensor:
        """What the logits descend: the loss, the estimator's own term, and the weighted entropy and expected cost."""
        objective = losses.total + self.entropy_weight(step) * self.sampler.entropy()
        parts = [{task: loss.detach() for task, loss in part.items()} for part in losses.parts]
        own = self.estimator.term(step, mixtures, parts)
        if own is not None:
            objective = objective + own
        if self.cost is not None:
            objective = objective + self.cost(self.estimator.scale())
        return objective

    def chosen(self) -> dict[Pair, str]:
        """The kind of each pair as things stand: the most likely ones, within the budget if there is one."""
        return self.sampler.chosen() if self.pressure is None else self.pressure.chosen()

    def argmax_mixture(self) -> Mixture:
        """The one-hot mixture of :meth:`chosen`, for validation."""
        if self.pressure is None:
            return self.sampler.argmax_mixture()
        return Mixture.one_hot(self.pressure.chosen()).to(self.sampler.logits.device)

    def after_step(self, step: int) -> None:
        """Commit the pairs that have decided; now and then let the host see which."""
        if self.pressure is not None:
            self.pressure.after_step(step)
        self.estimator.after_step(step)
        if step % REFRESH_EVERY == 0:
            self.sampler.refresh()

    def schedule_values(self, step: int) -> dict[str, float]:
        """Schedules of a step, mean entropy (nats) and share of committed pairs; reads from the device."""
        values = {
            "tau": self.tau(step),
            "entropy_weight": self.entropy_weight(step),
            "entropy": float(self.sampler.entropy().detach()),
            "committed_share": float(self.sampler.committed.float().mean()),
        }
        for costs in (self.pressure, self.cost):
            if costs is not None:
                values |= costs.values()
        return values

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {
            "sampler": self.sampler.state_dict(),
            "logits_optimizer": self.optimizer.state_dict(),
            "estimator": self.estimator.state_dict(),
            **({} if self.pressure is None else {"pressure": self.pressure.state_dict()}),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.sampler.load_state_dict(state["sampler"])
        self.optimizer.load_state_dict(state["logits_optimizer"])
        self.estimator.load_state_dict(state["estimator"])
        if self.pressure is not None:
            self.pressure.load_state_dict(state["pressure"])
