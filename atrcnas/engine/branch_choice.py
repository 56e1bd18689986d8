"""The choice of a search of branches: copies of the encoder's segments, along with the kinds of the pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from atrcnas.costs.pressure import Pressure
from atrcnas.engine.choice import Choice, linear
from atrcnas.engine.losses import Losses
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.branch_sampler import BranchSampler
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.branch_search import BranchSearchSpec
from atrcnas.spec.branches import Branches
from atrcnas.spec.recipe import SearchSpec


class BranchChoice(Choice):
    """A choice of branches, and of contexts where the pairs have several kinds.

    Args:
        sampler: of the kinds, on its device.
        recipe: of the search.
        branches: of the copies, on the same device.
        spec: how branches are searched.
        costs: of one copy of each segment, in the unit of the cost weight.
        pressure: as in :class:`Choice`.
    """

    def __init__(
        self,
        sampler: Sampler,
        recipe: SearchSpec,
        branches: BranchSampler,
        spec: BranchSearchSpec,
        costs: Sequence[float],
        pressure: Pressure | None = None,
    ) -> None:
        super().__init__(sampler, recipe, pressure)
        self.branches, self.spec = branches, spec
        self.costs = tuple(costs)
        self.parameters = [sampler.logits, branches.logits]
        rate, decay = spec.logits_learning_rate, spec.logits_weight_decay
        self.optimizer.add_param_group({"params": [branches.logits], "lr": rate, "weight_decay": decay})

    def warming_up(self, step: int) -> bool:
        """Whether each task still trains a copy of its own."""
        return step < self.spec.warm_up * self.recipe.steps

    def branch_tau(self, step: int) -> float:
        """Temperature of the copies in a step."""
        first = math.ceil(self.spec.warm_up * self.recipe.steps)
        return linear(self.spec.tau, max(step - first, 0), self.recipe.steps - first)

    def rests(self, step: int) -> bool:
        """Whether all logits are still held where they start."""
        return self.warming_up(step) or super().rests(step)

    def draw(self, step: int) -> Sequence[Mixture]:
        """The mixtures of a step, all with the same copies."""
        own = self.warming_up(step)
        copies = self.branches.own_copies() if own else self.branches.draw(step, self.branch_tau(step))
        return [replace(mixture, copies=copies) for mixture in super().draw(step)]

    def objective(self, step: int, mixtures: Sequence[Mixture], losses: Losses) -> Tensor:
        """That of :class:`Choice`, and the weighted expected cost of the encoder."""
        cost = self.spec.cost_weight * self.branches.expected_cost(self.costs)
        return super().objective(step, mixtures, losses) + cost.to(losses.total.dtype)

    def argmax_mixture(self) -> Mixture:
        """The chosen kinds, and the most likely copies."""
        return replace(super().argmax_mixture(), copies=self.branches.chosen_copies())

    def tree(self) -> Branches:
        """Where tasks part as things stand."""
        return self.branches.chosen()

    def schedule_values(self, step: int) -> dict[str, float]:
        """Those of :class:`Choice`, the copies' temperature, and the expected cost in the unit of its weight."""
        return super().schedule_values(step) | {
            "branch_tau": self.branch_tau(step),
            "expected_encoder_cost": float(self.branches.expected_cost(self.costs).detach()),
        }

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {**super().state(), "branches": self.branches.state_dict(), "branch_costs": list(self.costs)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`; costs that were measured stay what they were at the start."""
        super().load(state)
        self.branches.load_state_dict(state["branches"])
        self.costs = tuple(state["branch_costs"])
