"""The sampler of a search of branches: which copy of each encoder segment each task takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.sampling.gumbel import COPIES, gumbel
from atrcnas.sampling.partition_chances import PartitionChances
from atrcnas.sampling.partitions import decoded
from atrcnas.sampling.trees import as_branches
from atrcnas.spec.branches import Branches


class BranchSampler(nn.Module):
    """Logits [L, T, T] of L segments: task t (row) takes copy i (column). At the start all are equal.

    Draws are a function of (seed, step) alone and made on the CPU, as those of :class:`Sampler`, of which they are
    independent.

    Args:
        tasks: T names.
        points: where the L segments begin, from the image on.
        seed: of the Gumbel noise.
        sampled: each task takes the one copy that it drew, with the gradient of its soft weight (straight-through);
            otherwise a mixture of all.

    Raises:
        ConfigError: more than 7 tasks.

    Source: Bruggemann et al., BMVC 2020 (BMTAS); sampled: Dong and Yang, CVPR 2019 (GDAS).
    """

    def __init__(self, tasks: Sequence[str], points: Sequence[str], *, seed: int = 0, sampled: bool = False) -> None:
        super().__init__()
        self.tasks, self.points, self.seed, self.sampled = tuple(tasks), tuple(points), seed, sampled
        self.logits = nn.Parameter(torch.zeros(len(self.points), len(self.tasks), len(self.tasks)))
        self.chances = PartitionChances(len(self.tasks))

    def own_copies(self) -> Tensor:
        """[L, T, T]: each task takes its own copy, as before the logits start to move."""
        return torch.eye(len(self.tasks)).to(self.logits).expand_as(self.logits)

    def draw(self, step: int, tau: float) -> Tensor:
        """[L, T, T] weights of the copies in a training step; rows sum to 1.

        Args:
            step: 0, 1, ...; the same step gives the same noise.
            tau: temperature > 0.
        """
        noise = gumbel(self.logits.shape, self.seed, step, stream=COPIES)
        soft = ((self.logits + noise.to(self.logits)) / tau).softmax(-1)
        if not self.sampled:
            return soft
        hard = F.one_hot(soft.argmax(-1), len(self.tasks)).to(soft)
        return hard + (soft - soft.detach())

    def probabilities(self) -> Tensor:
        """[L, T, T] softmax of the logits; never a random draw."""
        return self.logits.softmax(-1)

    def expected_cost(self, costs: Sequence[float]) -> Tensor:
        """Of all segments that the probabilities call for, see :meth:`PartitionChances.expected_cost`."""
        return self.chances.expected_cost(self.logits.double().softmax(-1), costs)

    def chosen_copies(self) -> Tensor:
        """[L, T, T] one-hot: the most likely copy of each task."""
        return F.one_hot(self.logits.argmax(-1), len(self.tasks)).to(self.logits)

    def chosen(self) -> Branches:
        """The tree of the most likely copies; what has parted stays apart."""
        return as_branches(decoded(self.logits.argmax(-1).tolist()), self.tasks, self.points)
