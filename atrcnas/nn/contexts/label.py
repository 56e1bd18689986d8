"""`tlabel` and `slabel`: attention to the regions of a label map."""

from __future__ import annotations

import torch
from torch import Tensor

from atrcnas.nn.contexts.base import ContextInputs
from atrcnas.nn.contexts.regions import RegionContext
from atrcnas.spec.pairs import Pair


class LabelContext(RegionContext):
    """Each label of a label map weights one region.

    Source: Bruggemann et al. 2021, target and source label contexts.
    """

    def label_task(self, pair: Pair) -> str:
        """The task whose label map makes the regions."""
        raise NotImplementedError

    def regions(self, inputs: ContextInputs, rows: tuple[int, ...]) -> dict[int, Tensor]:
        """Region vectors of each row, [B, C, K]: one matrix product per source for all its label maps."""
        regions: dict[int, Tensor] = {}
        for source, group in self.rows_by(rows, "source").items():
            tasks = list(dict.fromkeys(self.label_task(self.pairs[row]) for row in group))
            maps = [inputs.label_probabilities(task) for task in tasks]
            features = inputs.features[source].flatten(2)
            pooled = features @ torch.cat(maps, dim=1).transpose(1, 2).to(features.dtype)
            parts = dict(zip(tasks, pooled.split([m.shape[1] for m in maps], dim=2), strict=True))
            regions |= {row: parts[self.label_task(self.pairs[row])] for row in group}
        return regions


class TargetLabel(LabelContext):
    """`tlabel`: the regions of what is predicted."""

    def label_task(self, pair: Pair) -> str:
        """The target."""
        return pair.target


class SourceLabel(LabelContext):
    """`slabel`: the regions of what helps."""

    def label_task(self, pair: Pair) -> str:
        """The source."""
        return pair.source
