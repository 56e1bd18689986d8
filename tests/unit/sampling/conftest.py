"""One thread: the tensors here are tiny, and threads that wait for each other cost more than they save."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
