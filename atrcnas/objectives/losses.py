"""The losses of the table in spec/losses.py.

Each takes raw network output and averages over valid pixels only. Nothing here reads a tensor's value on the host
or selects by a boolean mask (a data-dependent shape), since either would stall the GPU in every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.objectives.averaging import mean_over_processes, num_processes


def cross_entropy(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean negative log-likelihood of the target class.

    Args:
        prediction: [B, K, H, W] float logits.
        target: [B, H, W] int64 in [0, K); read only where ``valid``.
        valid: [B, H, W] bool.

    Returns:
        Scalar >= 0.
    """
    return _mean_over_valid(_negative_log_likelihood(prediction, target, valid), valid)


def weighted_cross_entropy(
    prediction: Tensor, target: Tensor, valid: Tensor, class_weights: Sequence[float] | None = None
) -> Tensor:
    """:func:`cross_entropy` with a factor for each class.

    Args:
        prediction: [B, K, H, W] float logits.
        target: [B, H, W] int64 in [0, K); read only where ``valid``.
        valid: [B, H, W] bool.
        class_weights: K factors >= 0 of the loss at the pixels of each class; None for 1.

    Returns:
        Scalar >= 0. The sum is divided by the number of valid pixels, not by the sum of the weights.
    """
    loss = _negative_log_likelihood(prediction, target, valid)
    if class_weights is not None:
        loss = loss * loss.new_tensor(class_weights)[_clear(target, valid)]
    return _mean_over_valid(loss, valid)


def l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference, summed over channels.

    Args:
        prediction: [B, C, H, W] float, in the target's unit.
        target: [B, C, H, W] float; read only where ``valid``.
        valid: [B, H, W] bool.

    Returns:
        Scalar >= 0, in the target's unit.
    """
    _check_sizes(prediction, target, valid, target_channels=prediction.shape[1])
    distance = (_at_least_float32(prediction) - _clear(target, valid)).abs().sum(dim=1)
    return _mean_over_valid(distance, valid)


def normals_l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """:func:`l1` of the prediction scaled to unit length.

    Args:
        prediction: [B, 3, H, W] float, any length.
        target: [B, 3, H, W] float unit vectors; read only where ``valid``.
        valid: [B, H, W] bool.

    Returns:
        Scalar in [0, 2 sqrt(3)].
    """
    return l1(F.normalize(_at_least_float32(prediction), dim=1), target, valid)


def balanced_cross_entropy(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Two-class cross entropy in which each class weighs as much as the other one is frequent in this batch.

    Args:
        prediction: [B, 2, H, W] float logits.
        target: [B, H, W] int64, 1 = foreground; read only where ``valid``.
        valid: [B, H, W] bool.

    Returns:
        Scalar >= 0. The sum is divided by the number of valid pixels, not by the sum of the weights.
    """
    foreground = mean_over_processes(((target == 1) & valid).sum().double())
    foreground_share = (foreground / _num_valid(valid)).to(_at_least_float32(prediction).dtype)
    return _weighted_cross_entropy(prediction, target, valid, 1 - foreground_share)


def balanced_edge_cross_entropy(
    prediction: Tensor, target: Tensor, valid: Tensor, positive_weight: float = 0.95
) -> Tensor:
    """Two-class cross entropy with fixed class weights that sum to 1.

    Args:
        prediction: [B, 2, H, W] float logits.
        target: [B, H, W] int64, 1 = edge; read only where ``valid``.
        valid: [B, H, W] bool.
        positive_weight: weight of an edge pixel, in (0, 1); any other pixel has ``1 - positive_weight``.

    Returns:
        Scalar >= 0. The sum is divided by the number of valid pixels, not by the sum of the weights.
    """
    return _weighted_cross_entropy(prediction, target, valid, prediction.new_full((), positive_weight))


def balanced_bce(prediction: Tensor, target: Tensor, valid: Tensor, positive_weight: float = 0.95) -> Tensor:
    """Binary cross entropy on logits with fixed weights that sum to 1.

    Args:
        prediction: [B, 1, H, W] float logits.
        target: [B, H, W] int64, 1 = edge; read only where ``valid``.
        valid: [B, H, W] bool.
        positive_weight: weight of an edge pixel, in (0, 1); any other pixel has ``1 - positive_weight``.

    Returns:
        Scalar >= 0.
    """
    _check_sizes(prediction, target, valid)
    logits = _at_least_float32(prediction)[:, 0]
    positive = (target == 1).to(logits.dtype)
    weight = positive * positive_weight + (1 - positive) * (1 - positive_weight)
    loss = F.binary_cross_entropy_with_logits(logits, positive, weight=weight, reduction="none")
    return _mean_over_valid(loss, valid)


def _weighted_cross_entropy(prediction: Tensor, target: Tensor, valid: Tensor, positive_weight: Tensor) -> Tensor:
    weight = torch.where(target == 1, positive_weight, 1 - positive_weight)
    return _mean_over_valid(weight * _negative_log_likelihood(prediction, target, valid), valid)


def _negative_log_likelihood(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Per pixel, [B, H, W]; class 0 stands in where not ``valid``."""
    _check_sizes(prediction, target, valid)
    log_probability = F.log_softmax(_at_least_float32(prediction), dim=1)
    # A gather, not nll_loss: the two-dimensional nll_loss has no deterministic form on a GPU.
    return -log_probability.gather(1, _clear(target, valid).unsqueeze(1)).squeeze(1)


def _mean_over_valid(loss: Tensor, valid: Tensor) -> Tensor:
    """Mean of [B, H, W] over valid pixels; the clamp turns 0 / 0 of an empty batch into 0."""
    return torch.where(valid, loss, 0).sum() / _num_valid(valid).to(loss.dtype)


def _num_valid(valid: Tensor) -> Tensor:
    """At least 1; in a distributed training, each process's equal share of all valid pixels.

    The mean of the losses over the processes is then the loss of their whole batch.
    """
    return mean_over_processes(valid.sum().double()).clamp(min=1 / num_processes())


def _clear(target: Tensor, valid: Tensor) -> Tensor:
    """``target`` with 0 where not valid, so that no meaningless value (NaN, class 255) enters the arithmetic."""
    return torch.where(valid.unsqueeze(1) if target.ndim == 4 else valid, target, 0)


def _at_least_float32(prediction: Tensor) -> Tensor:
    """Half precision becomes float32, which a mean over 10^6 pixels needs; double, used by tests, stays."""
    return prediction.float() if prediction.dtype in (torch.float16, torch.bfloat16) else prediction


def _check_sizes(prediction: Tensor, target: Tensor, valid: Tensor, target_channels: int | None = None) -> None:
    """Refuse sizes that would broadcast silently."""
    batch, _, height, width = prediction.shape
    channels = () if target_channels is None else (target_channels,)
    expected = (batch, *channels, height, width)
    if tuple(target.shape) != expected or tuple(valid.shape) != (batch, height, width):
        raise ValueError(
            f"Expected target {expected} and valid {(batch, height, width)} for prediction {tuple(prediction.shape)}, "
            f"but got {tuple(target.shape)} and {tuple(valid.shape)}."
        )
