"""The model on a branched encoder: today's network where tasks are together, single-task networks where they are apart."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from atrcnas.engine.costs import multiply_adds, parameters
from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.nn.atrc_weights import network_names
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.inherit import inherit
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import all_pairs
from atrcnas.spec.tasks import TASKS as ALL
from atrcnas.spec.tasks import Task

TASKS = ("semseg", "depth", "edge")
APART = {"stem": [[task] for task in TASKS]}
TREE = {"stage2": [["semseg", "edge"], ["depth"]], "stage3": [["semseg"], ["edge"], ["depth"]]}
PYRAMID = {"neck": "pyramid", "head": "pyramid"}
POINTS: dict[str, dict[str, Any]] = {
    "ATRC": {"width": 8},
    "PAD-Net": {"width": 8, "neck_conv": True, "task_features": "bottleneck2", "deep_supervision": True},
    "pyramid": {"task_features": "none", **PYRAMID},
    "MTI-Net": {"task_features": "basic2", "deep_supervision": True, **PYRAMID},
}


def records(names: Iterable[str]) -> dict[str, Task]:
    return {name: ALL[name].with_options(5 if ALL[name].channels is None else None) for name in names}


def build(tasks: Iterable[str] = TASKS, kinds: tuple[str, ...] = (), **model: Any) -> MultiTaskNet:
    torch.manual_seed(0)
    candidates = {pair: kinds for pair in all_pairs(list(tasks), (4,)) if kinds and not pair.on_diagonal}
    return MultiTaskNet(records(tasks), candidates, BackboneSpec(name="test_resnet"), ModelSpec(**model))


def image(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1), dtype=dtype)


def perturbed(net: MultiTaskNet) -> MultiTaskNet:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in net.parameters():
            one += 0.05 * torch.randn(one.shape, generator=generator).to(one)
    return net


def own(net: MultiTaskNet, task: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """What one task uses, by the names of a network of that task alone."""
    found = {}
    for name, value in values.items():
        home, branch, inside = name.partition(".branches.")
        if branch and inside.split(".", 1)[0] == task:
            found[(f"{home}.body." if home == "backbone" else f"{home}.") + inside.split(".", 1)[1]] = value
        elif not branch and not set(name.split(".")) & (set(TASKS) - {task}):
            found[name] = value
    return found


def gradients(net: MultiTaskNet) -> dict[str, Tensor]:
    return {name: one.grad for name, one in net.named_parameters() if one.grad is not None}


def descend(predictions: Iterable[Tensor]) -> None:
    sum(x.square().mean() for x in predictions).backward()  # type: ignore[union-attr]


@pytest.mark.parametrize("point", POINTS)
def test_all_apart_is_networks_of_single_tasks(point: str) -> None:
    """In training mode: outputs, gradients and running statistics."""
    net = perturbed(build(branches=APART, **POINTS[point]).double()).train()
    singles = {task: build([task], **POINTS[point]).double().train() for task in TASKS}
    for task, single in singles.items():
        single.load_state_dict(own(net, task, net.state_dict()))
    out = net(image(torch.float64))
    descend([*out.predictions.values(), *out.initial.values()])
    for task, single in singles.items():
        alone = single(image(torch.float64))
        descend([*alone.predictions.values(), *alone.initial.values()])
        torch.testing.assert_close(out.predictions[task], alone.predictions[task], rtol=1e-12, atol=1e-12)
        for found, expected in (
            (own(net, task, net.state_dict()), single.state_dict()),
            (own(net, task, gradients(net)), gradients(single)),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("point", POINTS)
def test_all_together_is_the_network_without_branches(point: str) -> None:
    plain, together = build(**POINTS[point]), build(branches={"stage2": [[*TASKS]]}, **POINTS[point])
    state = together.state_dict()
    assert list(state) == list(plain.state_dict())
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())


def test_the_decoders_begin_as_without_branches() -> None:
    """And so do all branches, each as the shared encoder would."""
    plain, branched = build(kinds=("local",), width=8), build(kinds=("local",), width=8, branches=TREE)
    expected, found = plain.state_dict(), branched.state_dict()
    after = [name for name in expected if not name.startswith("backbone.")]
    assert all(torch.equal(found[name], expected[name]) for name in after)
    for task in TASKS:
        depth = found[f"backbone.branches.{task}.layer3.0.conv1.weight"]
        assert torch.equal(depth, expected["backbone.body.layer3.0.conv1.weight"])
    with torch.no_grad():
        ours, theirs = branched.eval()(image()), plain.eval()(image())
    torch.testing.assert_close(ours.predictions, theirs.predictions, rtol=1e-6, atol=1e-6)


def test_a_context_reads_the_sources_own_branch() -> None:
    net = perturbed(build(kinds=("local",), width=8, branches=APART)).eval()
    before = net(image()).predictions["depth"]
    with torch.no_grad():
        net.backbone.branches["edge"].get_submodule("layer4.0.conv1").weight.mul_(-3)
    assert not torch.equal(net(image()).predictions["depth"], before)


def test_label_branches_read_their_tasks_branch() -> None:
    net = perturbed(build(kinds=("slabel",), width=8, branches=APART)).eval()
    before = net(image()).labels
    with torch.no_grad():
        net.backbone.branches["edge"].get_submodule("layer4.0.conv1").weight.mul_(-3)
    after = net(image()).labels
    assert {name for (name, _), x in after.items() if not torch.equal(x, before[name, 4])} == {"edge"}


def test_a_branched_supernet_learns() -> None:
    net = build(kinds=("none", "local", "tlabel"), width=8, branches=TREE).train()
    mixture: Mixture = Sampler(net.candidates).draw(0, 1.0)
    out = net(image(), mixture=mixture)
    descend([*out.predictions.values(), *out.labels.values()])
    assert [name for name, one in net.named_parameters() if one.grad is None] == []


def test_costs_count_what_is_shared_once() -> None:
    """Trunk once and each branch for itself, by differences between whole networks."""
    together, late, apart = (build(width=8, branches=branches) for branches in ({}, {"stage4": APART["stem"]}, APART))
    size = (64, 96)
    encoder = together.backbone.eval()
    body = sum(one.numel() for one in encoder.parameters())
    last = sum(one.numel() for one in encoder.body.get_submodule("layer4").parameters())
    assert parameters(late) - parameters(together) == 2 * last
    assert parameters(apart) - parameters(together) == 2 * body
    singles = sum(multiply_adds(build([task], width=8), size) for task in TASKS)
    assert multiply_adds(apart, size) == singles
    assert multiply_adds(together, size) < multiply_adds(late, size) < multiply_adds(apart, size)


def test_branches_inherit_from_a_shared_or_coarser_supernet() -> None:
    fixed = build(kinds=("local",), width=8, branches=TREE)
    shared = perturbed(build(kinds=("none", "local"), width=8))
    inherit(fixed, copy.deepcopy(shared.state_dict()), shared)
    weight = "layer3.0.conv1.weight"
    for task in TASKS:
        branch = fixed.state_dict()[f"backbone.branches.{task}.{weight}"]
        assert torch.equal(branch, shared.state_dict()[f"backbone.body.{weight}"])
    coarser = perturbed(build(kinds=("none", "local"), width=8, branches={"stage2": TREE["stage2"]}))
    inherit(fixed, copy.deepcopy(coarser.state_dict()), coarser)
    for task, group in (("semseg", "semseg+edge"), ("edge", "semseg+edge"), ("depth", "depth")):
        branch = fixed.state_dict()[f"backbone.branches.{task}.{weight}"]
        assert torch.equal(branch, coarser.state_dict()[f"backbone.branches.{group}.{weight}"])


def test_folding_keeps_what_a_branched_network_predicts() -> None:
    net = perturbed(build(kinds=("local",), width=8, branches=TREE, neck_conv=True)).eval()
    folded = fold_batch_norm(net)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(image()).predictions, net(image()).predictions, rtol=1e-3, atol=1e-4)


def test_a_point_the_backbone_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.branches\.stage5: no branching point .* Points: stem, stage1, "):
        build(branches={"stage5": APART["stem"]})


def test_weights_of_the_reference_are_refused() -> None:
    with pytest.raises(CheckpointError, match="the reference has no network with model settings branches: "):
        network_names(build(kinds=("local",), width=8, branches=TREE))
