"""What is measured: the heads of a network on given features, ours and in the reference structure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from analysis.bench.reference import reference_of
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import BASE_LEVEL, Pair
from atrcnas.spec.tasks import TASKS, Task

PRESET = "atrc-nyud-hrnet18"
NYUD = ("semseg", "depth", "normals", "edge")
Candidates = Mapping[Pair, tuple[str, ...]]


@dataclass(frozen=True)
class Setup:
    """Sizes of one measurement.

    Attributes:
        device: "cpu" or "cuda".
        batch: images.
        image_size: (height, width), pixels; features are at a quarter of it, rounded up.
        dtype: of weights and features.
        backbone: timm name; its widths give C_in and, with ``width`` None, C and d.
        width: C, None for a quarter of C_in.
        num_classes: of semseg.
    """

    device: str = "cpu"
    batch: int = 2
    image_size: tuple[int, int] = (128, 160)
    dtype: torch.dtype = torch.float32
    backbone: str = "hrnet_w18_small_v2"
    width: int | None = None
    num_classes: int = 40
    tasks: tuple[str, ...] = field(default=NYUD)

    @property
    def feature_size(self) -> tuple[int, int]:
        """(height, width) at stride 4."""
        height, width = self.image_size
        return -(-height // BASE_LEVEL), -(-width // BASE_LEVEL)

    def records(self) -> dict[str, Task]:
        """The tasks, with their class counts."""
        open_ended = {name: TASKS[name].channels is None for name in self.tasks}
        return {name: TASKS[name].with_options(self.num_classes if open_ended[name] else None) for name in self.tasks}


class GivenFeatures(nn.Module):
    """Task features, label branches, refiner and prediction heads of a network, behind its neck.

    Args:
        net: whose parts these are (not copied).
        refiner: in place of the network's own.
    """

    def __init__(self, net: MultiTaskNet, refiner: nn.Module | None = None) -> None:
        super().__init__()
        level = str(BASE_LEVEL)
        self.stems, self.heads = net.stems[level], net.heads
        self.labels = net.labels[level]
        self.as_published = refiner is not None
        self.refiner = net.refiners[level] if refiner is None else refiner

    def task_features(self, x: Tensor) -> dict[str, Tensor]:
        """Task -> [B, C, h, w]; beside a reference refiner one stem after another, as published."""
        return {task: stem(x) for task, stem in self.stems.items()} if self.as_published else self.stems(x)

    def forward(self, x: Tensor, mixture: Mixture | None = None) -> dict[str, dict[str, Tensor]]:
        """Map neck features [B, C_in, h, w] to predictions, label logits and refined features, each by task."""
        own = self.task_features(x)
        labels = {task: branch(x) for task, branch in self.labels.items()}
        refined = own | self.refiner(own, labels, None, mixture)
        predictions = {task: head({BASE_LEVEL: refined[task]}) for task, head in self.heads.items()}
        return {"predictions": predictions, "labels": labels, "refined": refined}


def network(setup: Setup, candidates: Candidates) -> MultiTaskNet:
    """A network with random weights whose contexts are open (their last BatchNorm starts at zero otherwise)."""
    torch.manual_seed(0)
    net = MultiTaskNet(
        setup.records(), dict(candidates), BackboneSpec(name=setup.backbone), ModelSpec(width=setup.width)
    )
    with torch.no_grad():
        for fuse in net.refiners[str(BASE_LEVEL)].fuse.values():
            if fuse.project is not None:
                fuse.project.norm.weight.uniform_(0.5, 1.5)
    return net.to(setup.device, setup.dtype, memory_format=torch.channels_last)


def preset(setup: Setup, name: str) -> dict[Pair, tuple[str, ...]]:
    """Candidates of a fixed network."""
    return {pair: (kind,) for pair, kind in ContextConfig.load(name).kinds(setup.tasks).items()}


def in_reference_structure(net: MultiTaskNet) -> GivenFeatures:
    """A copy of the heads with the refiner in the reference structure, all contiguous as published."""
    parts = copy.deepcopy(net)
    own = parts.refiners[str(BASE_LEVEL)]
    refiner = reference_of(own, parts.model.dropout)
    return GivenFeatures(parts, refiner).to(memory_format=torch.contiguous_format).train(net.training)


def neck_features(setup: Setup, net: MultiTaskNet) -> Tensor:
    """Random [B, C_in, h, w], contiguous, that wants a gradient."""
    in_width = sum(net.backbone.widths.values())
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(setup.batch, in_width, *setup.feature_size, generator=generator, dtype=torch.float64)
    return drawn.relu().to(setup.device, setup.dtype).requires_grad_()
