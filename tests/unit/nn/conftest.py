"""One thread, as the tensors here are tiny and threads would wait for each other; tests may import modules next to them."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))
