"""The argument check that all metrics share."""

from __future__ import annotations

from torch import Tensor


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
