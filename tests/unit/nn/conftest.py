"""One thread, as the tensors here are tiny and threads would wait for each other; tests may import modules next to them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def simulated_cuda() -> None:
    """Skips the test where PyTorch cannot simulate CUDA tensors (FakeTensorMode) without a driver.

    Asked when the first such test runs, not when tests are collected: a simulated tensor brings a CUDA guard into the
    process, after which its forks cannot go backward.
    """
    # torch 2.9 turns to the driver to index a simulated tensor, and ends the process in some convolutions.
    try:
        with FakeTensorMode():
            torch.empty(2, device="cuda")[0]
    except RuntimeError:
        pytest.skip(f"torch {torch.__version__} needs a CUDA driver even for simulated tensors")
