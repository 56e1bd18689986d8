"""The losses of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Losses:
    """The losses of one batch under one or several mixtures.

    Attributes:
        total: what is descended, a scalar with gradient: their mean over the mixtures, joined by the loss weighting.
        parts: for each mixture, task -> its loss, times the task's weight.
        shared: task -> such losses that no mixture has a say in, where ``parts`` leave them out.
        maps: of the backbone, for a loss weighting that reads them.
    """

    total: Tensor
    parts: Sequence[Mapping[str, Tensor]]
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    maps: Sequence[Tensor] = ()

    def by_task(self) -> dict[str, Tensor]:
        """Task -> its loss, mean over the mixtures, without gradient."""
        return {name: loss.detach() for name, loss in self.live().items()}

    def live(self) -> dict[str, Tensor]:
        """Task -> its loss, mean over the mixtures, with gradient."""
        if len(self.parts) == 1:
            return dict(self.parts[0])
        found = {name: torch.stack([part[name] for part in self.parts]).mean() for name in self.parts[0]}
        return found | {name: found[name] + part if name in found else part for name, part in self.shared.items()}
