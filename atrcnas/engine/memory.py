"""Running out of memory, on the GPU or the machine, as one message with the settings that help."""

from __future__ import annotations

import re

import torch

from atrcnas.ground.errors import RunError

# What torch's allocator of the CPU says, by RuntimeError.
_REFUSED = re.compile(r"can't allocate memory|not enough memory|DefaultCPUAllocator")


def out_of_memory(error: BaseException, step: int | None = None) -> RunError | None:
    """What to say about an error that lack of memory caused; None for any other.

    Args:
        error: that was raised.
        step: completed steps, while a stage trains.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    when = "" if step is None else f"step {step + 1}: "
    if isinstance(error, torch.OutOfMemoryError):
        return RunError(
            f"{when}out of GPU memory ({lines[0]}). Lower batch_size or data.augment.crop_size, set precision: bf16 or "
            "search.estimator: paired, or use more devices."
        )
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _REFUSED.search(str(error))):
        return RunError(
            f"{when}out of memory ({lines[0]:.200}). Free some, or set data.workers and data.cache_mib lower, then continue "
            "with --resume; in a new run, lower batch_size or data.augment.crop_size."
        )
    return None
