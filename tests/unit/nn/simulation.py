"""Where PyTorch can simulate CUDA tensors (FakeTensorMode) without a driver."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode


def _works() -> bool:
    try:
        with FakeTensorMode():
            torch.empty(2, device="cuda")[0]
    except RuntimeError:
        return False
    return True


# torch 2.9 turns to the driver to index a simulated tensor, and ends the process in some convolutions.
needs_simulated_cuda = pytest.mark.skipif(
    not _works(), reason=f"torch {torch.__version__} needs a CUDA driver even for simulated tensors"
)
