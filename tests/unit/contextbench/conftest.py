"""Lets the tests here import the scripts of `analysis`; one thread, as the tensors are tiny."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
torch.set_num_threads(1)
