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
        total: their mean, a scalar with gradient.
        parts: for each mixture, task -> its weighted loss, without gradient.
        shared: task -> weighted losses that no mixture has a say in, where ``parts`` leave them out.
    """

    total: Tensor
    parts: Sequence[Mapping[str, Tensor]]
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    def by_task(self) -> dict[str, Tensor]:
        """Task -> its weighted loss, mean over the mixtures."""
        if len(self.parts) == 1:
            return dict(self.parts[0])
        found = {name: torch.stack([part[name] for part in self.parts]).mean() for name in self.parts[0]}
        return found | {name: found[name] + part if name in found else part for name, part in self.shared.items()}
