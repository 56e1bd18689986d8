"""What all metrics share: sums over the pixels of a whole split, and the check of what they are given."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class PixelMetric(Metric):
    """Base of all metrics: its states are sums over batches and processes."""

    full_state_update = False
    is_differentiable = False

    def add_sum(self, name: str, *shape: int, dtype: torch.dtype = torch.int64) -> None:
        """Add a state, zero at the start, which :meth:`update` adds to.

        Args:
            name: of the attribute.
            shape: of the tensor; a scalar if left out.
            dtype: of the tensor.
        """
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    @staticmethod
    def check_shapes(prediction: Tensor, target: Tensor, valid: Tensor, channels: int | None = None) -> None:
        """Refuse shapes that would broadcast silently.

        Args:
            prediction: decoded, [B, H, W], or [B, C, H, W] if ``channels`` is given.
            target: same shape as ``prediction``.
            valid: [B, H, W] bool.
            channels: C.

        Raises:
            ValueError: a shape differs.
        """
        batch, height, width = valid.shape
        expected = (batch, height, width) if channels is None else (batch, channels, height, width)
        for name, tensor in (("prediction", prediction), ("target", target)):
            if tuple(tensor.shape) != expected:
                raise ValueError(f"Expected argument `{name}` to have shape {expected}, but got {tuple(tensor.shape)}.")
