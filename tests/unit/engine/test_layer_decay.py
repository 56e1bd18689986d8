"""Learning rates and weight decay of a pretrained transformer, by the rule of those who train them so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from atrcnas.engine.optimizing import parameter_groups
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.recipe import TrainSpec
from atrcnas.spec.tasks import TASKS

DEPTH = 4
PLAIN = {"embed_dim": 8, "depth": DEPTH, "num_heads": 2, "img_size": 28}


def groups(name: str, options: dict[str, Any], **recipe: Any) -> dict[str, tuple[float, float]]:
    """Parameter -> learning rate and weight decay."""
    net = MultiTaskNet({"depth": TASKS["depth"]}, {}, BackboneSpec(name=name, options=options), ModelSpec(width=8))
    names = {id(parameter): key for key, parameter in net.named_parameters()}
    found = parameter_groups(net, TrainSpec(learning_rate=1.0, weight_decay=0.05, **recipe))
    return {names[id(p)]: (group["base_lr"], group["weight_decay"]) for group in found for p in group["params"]}


def test_each_block_learns_slower_than_the_next_and_new_layers_at_the_full_rate() -> None:
    """BEiT's rule: decay ** (depth + 1 - layer), the embedding being layer 0 and block i layer i + 1."""
    found = groups("vit_small_patch14_dinov2", PLAIN, backbone_rate=0.1, layer_decay=0.65, decay_norms=False)
    for name, (rate, _) in found.items():
        block = re.match(r"backbone\.body\.model\.blocks\.(\d+)\.", name)
        if name.startswith("backbone."):
            layer = int(block[1]) + 1 if block else 0
            assert rate == pytest.approx(0.1 * 0.65 ** (DEPTH + 1 - layer)), name
        else:
            assert rate == 1.0
    backbone = {
        name.removeprefix("backbone.body.model."): decay
        for name, (_, decay) in found.items()
        if name.startswith("backbone.")
    }
    matrices = ("proj.weight", "qkv.weight", "fc1.weight", "fc2.weight")
    assert {name for name, decay in backbone.items() if decay} == {name for name in backbone if name.endswith(matrices)}
    assert backbone["pos_embed"] == backbone["blocks.0.norm1.weight"] == backbone["blocks.0.attn.qkv.bias"] == 0


@pytest.mark.parametrize("apart", ["stage2", "stem"])
def test_a_branch_learns_as_its_part_of_the_shared_encoder_does(apart: str) -> None:
    tasks = {name: TASKS[name] for name in ("depth", "normals")}
    shared, branched = (
        MultiTaskNet(tasks, {}, BackboneSpec(name="convnext_atto"), ModelSpec(width=8, branches=branches))
        for branches in ({}, {apart: [["depth"], ["normals"]]})
    )
    recipe = TrainSpec(learning_rate=1.0, backbone_rate=0.1, layer_decay=0.65, decay_norms=False)
    rates = {}
    for net in (shared, branched):
        names = {id(parameter): key for key, parameter in net.named_parameters()}
        groups = parameter_groups(net, recipe)
        rates[net] = {
            names[id(p)]: (group["base_lr"], group["weight_decay"]) for group in groups for p in group["params"]
        }
    in_branches = {name for name in rates[branched] if name.startswith("backbone.branches.")}
    assert in_branches
    for name in in_branches:
        assert rates[branched][name] == rates[shared]["backbone.body." + name.split(".", 3)[3]]


def test_without_these_keys_everything_is_as_it_was() -> None:
    found = groups("vit_small_patch14_dinov2", PLAIN, backbone_rate=0.1)
    assert {rates for name, rates in found.items() if name.startswith("backbone.")} == {(0.1, 0.05)}
    assert {rates for name, rates in found.items() if not name.startswith("backbone.")} == {(1.0, 0.05)}


def test_a_backbone_that_does_not_order_its_layers_is_refused() -> None:
    assert groups("atrcnas_small", {}, decay_norms=False)
    with pytest.raises(ConfigError, match=r"layer_decay: expected 1 with backbone 'atrcnas_small'.*backbone_rate"):
        groups("atrcnas_small", {}, layer_decay=0.9)
