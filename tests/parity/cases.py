"""Whole networks small enough to record: what each case is, and weights that follow from the published names alone.

Nothing but predictions has to be stored, since both sides fill a tensor from its name.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FIXTURE = Path(__file__).parent / "data" / "networks.safetensors"
CHANNELS = {"semseg": 5, "human_parts": 7, "depth": 1, "normals": 3, "sal": 2, "edge": 1}
LABELS = {"semseg": 5, "human_parts": 7, "depth": 40, "normals": 40, "sal": 2, "edge": 2}
PASCAL = ("semseg", "human_parts", "sal", "normals", "edge")
# ATRC's codes: 0 none, 1 global, 3 tlabel, 4 slabel (2, local, runs on CUDA only in the published code).
_CODES = (3, 4, 1, 4, 0)


@dataclass(frozen=True)
class Case:
    """One network and one image.

    Attributes:
        network: "atrc", "baseline" (ATRC's multi-task one), "mti-net" or "pad-net".
        tasks: predicted ones.
        size: (height, width) of the image. The public code of MTI-Net and PAD-Net is for multiples of 32: at others the
            one fails, and the other's HRNet is not ATRC's, since it enlarges straight to the finer branch's size.
        auxiliary: tasks that only help.
    """

    network: str
    tasks: tuple[str, ...]
    size: tuple[int, int]
    auxiliary: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its prefix in the fixture."""
        return f"{self.network}-{len(self.everyone)}-{self.size[0]}x{self.size[1]}"

    @property
    def everyone(self) -> tuple[str, ...]:
        """All tasks."""
        return self.tasks + self.auxiliary

    @property
    def genotype(self) -> dict[str, dict[str, int]]:
        """ATRC's code of each pair."""
        shift = {t: i for i, t in enumerate(self.tasks)}
        codes = {t: {s: _CODES[(3 * i + j) % len(_CODES)] for s, j in shift.items()} for t, i in shift.items()}
        return {t: {s: 3 if s == t and code == 4 else code for s, code in row.items()} for t, row in codes.items()}


CASES = (
    Case("atrc", ("semseg", "depth"), (107, 140)),
    Case("atrc", ("depth", "semseg", "normals"), (61, 90)),
    Case("atrc", PASCAL, (75, 100)),
    Case("baseline", ("semseg", "depth", "edge"), (33, 47)),
    Case("mti-net", ("semseg", "depth"), (64, 96)),
    Case("mti-net", ("semseg", "depth"), (64, 64), ("normals",)),
    Case("mti-net", PASCAL, (64, 32)),
    Case("pad-net", ("semseg", "depth"), (96, 64)),
    Case("pad-net", ("semseg", "depth"), (64, 64), ("edge",)),
    Case("pad-net", PASCAL, (32, 64)),
)


def filled(name: str, shape: torch.Size) -> Tensor:
    """The values of the tensor of that published name: float64, of the size its kind has in a trained network."""
    draws = np.random.RandomState(zlib.crc32(name.encode())).random_sample(tuple(shape))  # a stream numpy keeps forever
    unit = torch.from_numpy(np.asarray(draws)) * 2 - 1
    if name.endswith("running_var"):
        return 1 + unit / 2
    if len(shape) == 1:
        return unit / 8 + (0.5 if name.endswith("weight") else 0.0)
    return unit * math.sqrt(6 / shape[1:].numel())


def image_of(case: Case) -> Tensor:
    """[1, 3, H, W] float64 in [0, 1]."""
    return (
        filled(f"image {case.name}", torch.Size((1, 3, *case.size))) / math.sqrt(6 / (3 * math.prod(case.size))) / 2
        + 0.5
    )


def sampled(x: Tensor) -> Tensor:
    """Eight channels, every seventh row and ninth column, and the last of both, of [1, C, H, W]: what is stored."""
    rows, columns = ({*range(0, n, step), n - 1} for n, step in ((x.shape[2], 7), (x.shape[3], 9)))
    return x[:, :8, sorted(rows)][..., sorted(columns)].contiguous()
