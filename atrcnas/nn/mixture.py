"""The mixture: how much of each kind each pair uses in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from atrcnas.spec.kinds import parts
from atrcnas.spec.pairs import Pair


@dataclass(frozen=True)
class Mixture:
    """Weights of kinds per pair, given to the network as an argument.

    Attributes:
        pairs: P pairs, the rows.
        kinds: K kinds, the columns.
        weights: [P, K] float; rows sum to 1, zero outside of a pair's pool.
        active: for each pair the kinds that are computed; the others' weights must be zero.
        copies: [L, T, T] weight of each copy (column) of L encoder segments for each of T tasks (row), in a search of
            branches; None otherwise.
        whole: each pair has one kind, of weight 1, so that nothing has to be multiplied.
    """

    pairs: tuple[Pair, ...]
    kinds: tuple[str, ...]
    weights: Tensor
    active: tuple[frozenset[str], ...]
    copies: Tensor | None = None
    whole: bool = False

    def active_kinds(self, pair: Pair) -> frozenset[str]:
        """The kinds that are computed for ``pair``."""
        return self._active[pair]

    def weight(self, pair: Pair, kind: str) -> Tensor:
        """The weight, a scalar tensor."""
        return self._cells[pair][self.kinds.index(kind)]

    @cached_property
    def _active(self) -> dict[Pair, frozenset[str]]:
        return dict(zip(self.pairs, self.active, strict=True))

    @cached_property
    def _cells(self) -> dict[Pair, tuple[Tensor, ...]]:
        return {pair: row.unbind() for pair, row in zip(self.pairs, self.weights.unbind(), strict=True)}

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[Pair, Mapping[str, float]],
        dtype: torch.dtype = torch.float32,
        kinds: tuple[str, ...] | None = None,
    ) -> Mixture:
        """Build from plain numbers; kinds with weight 0 are not computed; ``kinds`` gives the columns an order."""
        kinds = kinds or tuple(dict.fromkeys(kind for row in weights.values() for kind in row))
        table = torch.tensor([[row.get(kind, 0.0) for kind in kinds] for row in weights.values()], dtype=dtype)
        active = tuple(frozenset(kind for kind, value in row.items() if value) for row in weights.values())
        return cls(tuple(weights), kinds, table, active)

    @classmethod
    def one_hot(cls, chosen: Mapping[Pair, str], kinds: tuple[str, ...] | None = None) -> Mixture:
        """One kind per pair, or half of each where two are joined; ``kinds`` gives the columns an order."""
        weights = {pair: dict.fromkeys(parts(kind), 1.0 / len(parts(kind))) for pair, kind in chosen.items()}
        mixture = cls.from_weights(weights, kinds=kinds)
        return replace(mixture, whole=all(len(row) == 1 for row in weights.values()))

    def to(self, device: torch.device) -> Mixture:
        """The same mixture with its weights on ``device``."""
        copies = None if self.copies is None else self.copies.to(device, non_blocking=True)
        return replace(self, weights=self.weights.to(device, non_blocking=True), copies=copies)
