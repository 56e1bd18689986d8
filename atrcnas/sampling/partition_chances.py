"""How likely each partition of the tasks is at each branching point, and what the encoder is expected to cost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrcnas.sampling.partitions import num_groups, partitions, refines


class PartitionChances(nn.Module):
    """Probabilities over the K set partitions of T tasks, differentiable and in float64.

    The probability that a draw keeps each group of k together is a product over its groups, and it is the sum of the
    probabilities of exactly a over all a that are coarser than or equal to k. The inverse of the matrix of that sum (the
    Moebius function of the partition lattice) therefore gives those of exactly k, without going through all T^T draws.

    Args:
        num_tasks: T, 1 to 7.

    Attributes:
        partitions: the K columns, in order.

    Raises:
        ConfigError: too many tasks.

    Source: Bruggemann et al., BMVC 2020 (BMTAS), the expected cost of a branched encoder. Differs: the probability that a
    draw induces a partition by Moebius inversion.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        self.partitions = partitions(num_tasks)
        below = torch.tensor([[refines(finer, coarser) for coarser in self.partitions] for finer in self.partitions])
        # Triangular, of zeros and ones with ones on its diagonal: the inverse holds whole numbers. They are kept as such,
        # since a module that moves to another precision takes its floating buffers along.
        moebius = torch.linalg.inv(below.double()).round().long()
        member = [[[group == place for group in one] for place in range(num_tasks)] for one in self.partitions]
        self.register_buffer("below", below, persistent=False)
        self.register_buffer("moebius", moebius, persistent=False)
        self.register_buffer("member", torch.tensor(member), persistent=False)  # [K, groups, T]
        counts = torch.tensor([num_groups(one) for one in self.partitions])
        self.register_buffer("num_groups", counts, persistent=False)
        self.below: Tensor
        self.moebius: Tensor
        self.member: Tensor
        self.num_groups: Tensor

    def of_draws(self, rows: Tensor) -> Tensor:
        """The probability that each partition is the one which a draw induces, each task drawing its copy by itself.

        Args:
            rows: [..., T, T] probability that task t (row) takes copy i (column).

        Returns:
            [..., K] float64, sum 1 up to rounding.
        """
        chances = rows.double()[..., None, None, :, :]  # [..., 1, 1, T, copies]
        # [..., K, groups]: all of a group take the same copy, whichever; an empty group says nothing.
        same = torch.where(self.member[..., None], chances, 1.0).prod(-2).sum(-1)
        kept = torch.where(self.member.any(-1), same, 1.0).prod(-1)
        return kept @ self.moebius.T.double()

    def of_points(self, rows: Tensor) -> Tensor:
        """The probability of each partition at each point, if branches never join again.

        At each point, a partition k gets the probability that a draw induces it, times that of all partitions at the
        point before which are coarser than or equal to k; the fully separate one gets what is left.

        Args:
            rows: [L, T, T], as in :meth:`of_draws`, from the image on.

        Returns:
            [L, K] float64; each row sums to 1.
        """
        drawn = self.of_draws(rows)
        before = torch.zeros_like(drawn[0])
        before[0] = 1.0  # at the image, all are together
        found = []
        for here in drawn:
            partly = (here * (self.below.double() @ before))[:-1]
            before = torch.cat([partly, 1.0 - partly.sum(0, keepdim=True)])
            found.append(before)
        return torch.stack(found)

    def expected_cost(self, rows: Tensor, costs: Sequence[float]) -> Tensor:
        """``sum_l sum_k p(l, k) |k| cost_l``, the expected cost of the encoder's segments.

        Args:
            rows: [L, T, T], as in :meth:`of_draws`.
            costs: of one copy of the segment after each point, in any unit, such as 10^9 multiply-adds.

        Returns:
            A scalar, float64, in that unit.
        """
        each = torch.as_tensor(costs, dtype=torch.float64, device=self.num_groups.device)
        return (self.of_points(rows) @ self.num_groups.double()) @ each
