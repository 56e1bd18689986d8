"""Losses that are no longer finite: noticed without waiting for the device, named by step, task and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from atrcnas.ground.errors import RunError
from atrcnas.objectives.averaging import num_processes

MAX_REFUSED = 10  # consecutive steps


class FiniteCheck:
    """Watches the loss of every step.

    Args:
        policy: "stop" ends the run, noticing at the next row of metrics.csv, so that no step has to wait for the
            device; "skip" leaves the step out; "lower" leaves it out and halves the learning rate for good. The last
            two look at each loss before stepping, and stop after 10 refused steps in a row.

    Attributes:
        rate_factor: what the learning rate is multiplied by.
    """

    def __init__(self, policy: Literal["stop", "skip", "lower"]) -> None:
        self.policy = policy
        self.rate_factor = 1.0
        self._refused = 0
        self._watched: list[tuple[int, dict[str, Tensor], list[str]]] = []

    @property
    def may_refuse(self) -> bool:
        """Whether a step may be left out."""
        return self.policy != "stop"

    def accepts(self, step: int, loss: Tensor, parts: Mapping[str, Tensor], names: list[str]) -> bool:
        """Whether to step on this loss.

        Raises:
            RunError: too many were refused.
        """
        if self.policy == "stop":
            self._watched.append((step, {"": loss.detach(), **parts}, names))
            return True
        if _finite_everywhere(loss):
            return True
        self._refused += 1
        if self.policy == "lower":
            self.rate_factor /= 2
        if self._refused == MAX_REFUSED:
            raise RunError(f"{MAX_REFUSED} steps in a row were refused; the last: {_describe(step, parts, names)}")
        return False

    def taken(self) -> None:
        """A whole step was taken, on every batch of it."""
        self._refused = 0

    def check(self) -> None:
        """Look at the losses since the last look.

        Raises:
            RunError: naming the first step with a loss that is not finite, its tasks and samples.
        """
        watched, self._watched = self._watched, []
        if not watched:
            return
        bad = ~torch.stack([loss[""] for _, loss, _ in watched]).isfinite()
        if num_processes() > 1:
            flags = bad.to(torch.float32)
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
            bad = flags > 0
        for (step, parts, names), found in zip(watched, bad.tolist(), strict=True):
            if found:
                raise RunError(_describe(step, {name: part for name, part in parts.items() if name}, names))

    def check_weights(self, net: nn.Module, step: int) -> None:
        """Refuse to save what has diverged.

        Raises:
            RunError: a weight or a running statistic is not finite.
        """
        values = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
        flags = torch.stack([value.isfinite().all() for value in values.values()])
        if not bool(flags.all()):
            name = next(name for name, value in values.items() if not bool(value.isfinite().all()))
            raise RunError(f"after step {step} the weights of {name} are no longer finite numbers. {_HINT}")


_HINT = (
    "Lower the learning rate, clip the gradient (clip: 10), or set on_nonfinite: skip or lower; "
    "then continue from the last checkpoint with --resume, or start over."
)


def _describe(step: int, parts: Mapping[str, Tensor], names: list[str]) -> str:
    tasks = [name for name, part in parts.items() if not bool(part.isfinite())]
    elsewhere = "another process" if num_processes() > 1 else "some task"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"in step {step + 1} the loss of {', '.join(tasks) or elsewhere} is not a finite number "
        f"(samples: {shown}). {_HINT}"
    )


def _finite_everywhere(loss: Tensor) -> bool:
    flag = (~loss.detach().isfinite()).to(torch.float32)
    if num_processes() > 1:
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return not bool(flag)
