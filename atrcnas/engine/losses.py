"""The losses of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Losses:
    """The losses of one batch under one or several mixtures.

    Attributes:
        total: their mean, a scalar with gradient.
        parts: for each mixture, task -> its weighted loss, without gradient.
    """

    total: Tensor
    parts: Sequence[Mapping[str, Tensor]]

    def by_task(self) -> dict[str, Tensor]:
        """Task -> its weighted loss, mean over the mixtures."""
        if len(self.parts) == 1:
            return dict(self.parts[0])
        return {name: torch.stack([part[name] for part in self.parts]).mean() for name in self.parts[0]}
