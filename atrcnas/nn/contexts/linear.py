"""`linear`: the source's features, passed on as they are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from atrcnas.nn.contexts.base import Context, ContextInputs, Projection
from atrcnas.spec.pairs import Pair


class Linear(Context):
    """``ReLU(BN(W F_s))``: pools nothing, which makes it the cheapest kind and the control for all others.

    On the diagonal it is one more layer over the target's own features.

    Source: Gao et al., CVPR 2019 (NDDR-CNN), equation 2. Differs: one convolution for each pair and a ReLU, where NDDR
    convolves the concatenated features of all tasks.
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__(pairs, width, out_width, searching)
        self.value = Projection(self, "source", layers=1, affine=not searching)

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pass on one map for each row: each [B, d, H, W]."""
        return list(self.value(self, inputs.features, rows).split(self.out_width, dim=1))
