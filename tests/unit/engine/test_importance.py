"""What a pair is worth: known by hand where contexts are constants, and by cutting the pair's weights elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch

from atrcnas.data.batch import Batch
from atrcnas.engine.importance import Ablation
from atrcnas.nn.fuse import ConcatFuse
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import TASKS

DEPTH, EDGE = TASKS["depth"], TASKS["edge"]
TRUE_DEPTH = 6.0


def network(kinds: Mapping[Pair, str], **model: object) -> MultiTaskNet:
    torch.manual_seed(0)
    tasks = {task.name: task for task in (DEPTH, EDGE)}
    spec = ModelSpec(width=4, **model)  # type: ignore[arg-type]
    candidates = {pair: (kind,) for pair, kind in kinds.items()}
    net = MultiTaskNet(tasks, candidates, BackboneSpec(name="atrcnas_small"), spec).eval()
    for fuse in net.refiners["4"].fuse.values():
        if isinstance(fuse, ConcatFuse) and fuse.project is not None:
            torch.nn.init.ones_(fuse.project.norm.weight)  # it starts at 0, where contexts change nothing
    torch.nn.init.normal_(net.heads["depth"].body[-1].weight)
    torch.nn.init.constant_(net.heads["depth"].body[-1].bias, TRUE_DEPTH)  # far from where depths are clamped
    return net


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8)
    everywhere = torch.ones(2, 32, 32, dtype=torch.bool)
    target = torch.full((2, 1, 32, 32), TRUE_DEPTH)
    return [Batch(image, None, {DEPTH.name: target}, {DEPTH.name: everywhere}, ["a", "b"], [(32, 32)] * 2)]


def ablation(net: MultiTaskNet) -> Ablation:
    return Ablation(net, {DEPTH.name: DEPTH}, batches(), batches())


@torch.no_grad()
def test_constant_contexts_are_worth_what_their_constants_are() -> None:
    own, cross = Pair("depth", "depth"), Pair("depth", "edge")
    none, unrelated = Pair("edge", "depth"), Pair("edge", "edge")
    net = network({own: "linear", cross: "linear", none: "none", unrelated: "linear"}, fuse="sum", refine=False)
    context = net.refiners["4"].contexts["linear_"]
    context.value.first.scale.zero_()
    constants = {own: 2.0, cross: 3.0, unrelated: 5.0}
    context.value.first.shift.copy_(torch.cat([torch.full((4,), constants[pair]) for pair in context.pairs]))
    stem = net.stems["4"]["depth"]
    stem.norm.weight.zero_()
    stem.norm.bias.zero_()
    head = net.heads["depth"].body[-1]
    head.weight.zero_()
    head.weight[0, 0] = 1.0
    head.bias.zero_()
    # Predicted: 2 + 3 of 6, an error of 1. Without own 3, an error of 3; without cross 2, an error of 4.
    drops = {pair: by_task["depth"] for pair, by_task in ablation(net).drops().items()}
    assert drops == {own: pytest.approx(200.0), cross: pytest.approx(300.0), none: 0.0, unrelated: 0.0}


def test_a_pair_left_out_is_a_pair_whose_map_no_weight_reads() -> None:
    kinds = {Pair(t, s): "local+global" if t == s else "linear" for t in ("depth", "edge") for s in ("depth", "edge")}
    net = network(kinds)
    whole = ablation(copy.deepcopy(net)).scores(kinds)["depth"]
    drops = ablation(copy.deepcopy(net)).drops()
    for place, source in enumerate(("depth", "edge")):
        cut = copy.deepcopy(net)
        weight = cut.refiners["4"].fuse["depth"].project.conv.weight
        with torch.no_grad():
            weight[:, 2 * place : 2 * (place + 1)] = 0  # two channels of each map
        expected = 100 * (ablation(cut).scores(kinds)["depth"] - whole) / whole
        assert abs(expected) > 0.1
        assert drops[Pair("depth", source)]["depth"] == pytest.approx(expected, rel=1e-3)
    assert drops[Pair("edge", "depth")]["depth"] == 0.0


def test_scores_do_not_depend_on_the_statistics_of_another_config() -> None:
    kinds = {Pair("depth", "depth"): "linear", Pair("depth", "edge"): "local"}
    one = ablation(network(kinds))
    first = one.scores(kinds)
    one.scores({**kinds, Pair("depth", "edge"): "none"})
    with torch.no_grad():
        one.net.refiners["4"].fuse["depth"].project.norm.running_mean.fill_(7.0)
    assert one.scores(kinds) == first
