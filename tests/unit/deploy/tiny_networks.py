"""Small fixed networks whose every part matters: all statistics and scales are random."""

from __future__ import annotations

import torch
from torch import nn

from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.tasks import TASKS, Task

BACKBONE = "test_resnet"


def records(*names: str) -> dict[str, Task]:
    """Task records; class counts, where open, are 5."""
    return {name: TASKS[name].with_options(5 if TASKS[name].channels is None else None) for name in names}


def mixed_network() -> MultiTaskNet:
    """Every kind, by concatenation, with an auxiliary task and initial predictions."""
    tasks, auxiliary = records("semseg", "normals"), records("edge")
    kinds = ["global", "slabel", "local", "mti", "tlabel", "none"]
    pairs = all_pairs(list(tasks), [4], [*tasks, *auxiliary])
    candidates = {pair: (kind,) for pair, kind in zip(pairs, kinds, strict=True)}
    model = ModelSpec(width=8, deep_supervision=True)
    return randomised(MultiTaskNet(tasks, candidates, BackboneSpec(name=BACKBONE), model, auxiliary))


def windows_network() -> MultiTaskNet:
    """Several pairs whose attention reads one mask."""
    tasks = records("semseg", "depth")
    kinds = ["local", "affinity", "local", "affinity"]
    candidates = {pair: (kind,) for pair, kind in zip(all_pairs(list(tasks), [4]), kinds, strict=True)}
    return randomised(MultiTaskNet(tasks, candidates, BackboneSpec(name=BACKBONE), ModelSpec(width=8)))


def pyramid_network() -> MultiTaskNet:
    """Contexts at two levels of a pyramid with propagation, summed."""
    tasks = records("semseg", "depth")
    kinds = {
        Pair("semseg", "depth", 32): "mti",
        Pair("depth", "semseg", 32): "slabel",
        Pair("depth", "depth", 8): "local",
    }
    model = ModelSpec(neck="pyramid", head="pyramid", task_features="conv3", propagate=True, fuse="sum", refine=False)
    candidates = {pair: (kind,) for pair, kind in kinds.items()}
    return randomised(MultiTaskNet(tasks, candidates, BackboneSpec(name=BACKBONE), model))


def far_network() -> MultiTaskNet:
    """The kinds outside the published pool, at levels 4 and 16, where they differ."""
    tasks = records("semseg", "depth")
    kinds = {
        4: ["linear", "wide", "aspp", "aspp_dense", "query", "affinity", "cross"],
        16: ["affinity+wide"],
    }
    sources = ["semseg", "depth", "normals", "edge"]
    candidates = {
        pair: (kind,)
        for level, some in kinds.items()
        for pair, kind in zip(all_pairs(list(tasks), [level], sources), some, strict=False)
    }
    model = ModelSpec(neck="pyramid", head="pyramid", task_features="conv3", fuse="concat")
    backbone = BackboneSpec(name=BACKBONE)
    return randomised(MultiTaskNet(tasks, candidates, backbone, model, records("normals", "edge")))


def one_pair_network() -> MultiTaskNet:
    """One context, so that it is soon exported."""
    tasks, model = records("semseg", "depth"), ModelSpec(width=8)
    return randomised(MultiTaskNet(tasks, {Pair("depth", "semseg"): ("global",)}, BackboneSpec(name=BACKBONE), model))


def plain_network(backbone: str) -> MultiTaskNet:
    """No pairs."""
    return randomised(MultiTaskNet(records("depth"), {}, BackboneSpec(name=backbone), ModelSpec(width=8)))


def randomised(net: MultiTaskNet) -> MultiTaskNet:
    """Statistics and scales other than the identity; otherwise contexts would not show: their last scale starts at 0."""
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_normal_(parameter, generator=generator)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            _fill(generator, module.running_mean, module.running_var, module.weight, module.bias)
        elif isinstance(module, PairConvBN):
            _fill(generator, module.mean, module.var, module.scale, module.shift)
    return net.eval()


def _fill(generator: torch.Generator, mean: object, var: object, scale: object, shift: object) -> None:
    for tensor, (low, high) in ((mean, (-0.3, 0.3)), (var, (0.5, 2.0)), (scale, (0.5, 1.5)), (shift, (-0.1, 0.6))):
        if isinstance(tensor, torch.Tensor):
            tensor.data.uniform_(low, high, generator=generator)
