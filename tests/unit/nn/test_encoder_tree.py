"""The encoder as a tree: timm's own network where tasks are together, separate networks where they are apart."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.encoder_parts import Part, parts_of, points_of
from atrcnas.nn.encoder_tree import EncoderTree
from atrcnas.spec.branches import Branches

TASKS = ("semseg", "depth", "edge")
SMALL_SWIN = {"drop_path_rate": 0.0, "embed_dim": 12, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 3, 4)}
# Model, its options, and a point within its third stage where it has one.
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "resnet18": ({"channels": (8, 16, 24, 32)}, "stage3.2"),
    "regnetx_002": ({}, "stage3"),
    "mobilenetv2_035": ({}, "stage3.2"),
    "mobilenetv3_small_050": ({}, "stage3.2"),
    "convnext_atto": ({"dims": (8, 12, 16, 20), "depths": (1, 2, 2, 1)}, "stage3.2"),
    "swin_tiny_patch4_window7_224": (SMALL_SWIN, "stage3.2"),
    "hrnet_w18_small": ({}, "stage3"),
    "atrcnas_small": ({}, "stage1"),
}
LARGE = ("regnetx_002", "swin_tiny_patch4_window7_224")


def whole(name: str) -> Backbone:
    torch.manual_seed(0)
    return Backbone(name, options=MODELS[name][0])


def tree_of(backbone: Backbone, groups: Mapping[str, Sequence[Sequence[str]]]) -> EncoderTree:
    parts = parts_of(backbone.body, "it")
    return EncoderTree(copy.deepcopy(backbone), parts, Branches.of(groups, TASKS, points_of(parts)))


def image(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(2, 3, 33, 49, generator=torch.Generator().manual_seed(1), dtype=dtype)


def learn(maps: Mapping[int, Tensor]) -> None:
    sum(x.square().mean() for x in maps.values()).backward()  # type: ignore[union-attr]


def gradients(net: nn.Module) -> dict[str, Tensor]:
    return {name: one.grad for name, one in net.named_parameters() if one.grad is not None}


def path_of(tree: EncoderTree, task: str, values: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Of ``values``, the state by default, those of one task's path, by the names of a backbone."""
    found = {}
    for name, value in (tree.state_dict() if values is None else values).items():
        room, _, rest = name.partition(".")
        group, _, inner = rest.partition(".")
        if room == "body":
            found[name] = value
        elif task in group.split("+"):
            found[f"body.{inner}"] = value
    return found


def close(found: Mapping[Any, Tensor], expected: Mapping[Any, Tensor]) -> bool:
    """Equal names, and values equal up to rounding in double precision."""
    assert set(found) == set(expected)
    return all(torch.allclose(found[key], value, rtol=1e-12, atol=1e-12) for key, value in expected.items())


def stages(plain: Backbone) -> dict[str, list[Part]]:
    """The parts of each stage."""
    found: dict[str, list[Part]] = {}
    point = ""
    for part in parts_of(plain.body, "it"):
        point = part.point or point
        found.setdefault(point.partition(".")[0], []).append(part)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_all_together_is_the_backbone_bit_for_bit(name: str) -> None:
    """Same names, values, maps, gradients and running statistics, though the tree runs the parts itself."""
    plain = whole(name).train()
    tree = tree_of(plain, {}).train()
    assert list(tree.state_dict()) == list(plain.state_dict())
    expected = plain(image())
    (found,) = tree(image())
    assert all(torch.equal(found[level], x) for level, x in expected.items())
    learn(expected)
    learn(found)
    state, grads = tree.state_dict(), gradients(tree)
    assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())
    assert list(grads) == list(gradients(plain))
    assert all(torch.equal(grads[key], value) for key, value in gradients(plain).items())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MODELS]
)
def test_each_leaf_is_the_backbone_of_its_path(name: str) -> None:
    """Branches with weights of their own, parted in two places, give and learn what whole networks would."""
    plain, late = whole(name).double(), MODELS[name][1]
    tree = tree_of(plain, {"stem": [["semseg", "edge"], ["depth"]], late: [["semseg"], ["edge"], ["depth"]]})
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in tree.parameters():
            one += 0.05 * torch.randn(one.shape, generator=generator, dtype=one.dtype)
    leaves = [(task,) for task in TASKS]
    assert set(tree.leaves) == set(leaves)
    for task in ("semseg", "depth"):
        ours, theirs = copy.deepcopy(tree).train(), copy.deepcopy(plain).train()
        theirs.load_state_dict(path_of(ours, task))
        found, expected = ours(image(torch.float64))[ours.leaves.index((task,))], theirs(image(torch.float64))
        assert close(found, expected)
        learn(found)
        learn(expected)
        assert close(path_of(ours, task), theirs.state_dict())  # running statistics
        assert close(path_of(ours, task, gradients(ours)), gradients(theirs))


@pytest.mark.parametrize("name", ["mobilenetv2_035", "hrnet_w18_small"])
def test_what_is_shared_is_one_module_that_runs_once(name: str) -> None:
    plain = whole(name).eval()
    tree = tree_of(plain, {"stage3": [["semseg", "edge"], ["depth"]], "stage4": [["semseg"], ["edge"], ["depth"]]})
    runs: list[str] = []
    for key, module in tree.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, key=key: runs.append(key))
    tree.eval()(image())
    assert len(runs) == len(set(runs)) == sum(isinstance(module, nn.Conv2d) for module in tree.modules())
    of_stage = {
        point: sum(sum(one.numel() for one in plain.body.get_submodule(part.module).parameters()) for part in parts)
        for point, parts in stages(plain).items()
    }
    copies = {"stage3": 2, **{point: 3 for point in of_stage if point >= "stage4" and point != "stem"}}
    expected = sum(number * copies.get(point, 1) for point, number in of_stage.items())
    assert sum(one.numel() for one in tree.parameters()) == expected


def test_points_are_in_the_order_in_which_parts_run() -> None:
    points = points_of(parts_of(whole("mobilenetv2_035").body, "it"))
    assert len(points) == 1 + 17  # the blocks of MobileNetV2, all after the stem
    assert points[:6] == ("stem", "stage1", "stage2", "stage2.2", "stage3", "stage3.2")
    assert Branches.of({point: [[*TASKS]] for point in reversed(points)}, TASKS).points == points


def test_a_backbone_that_is_no_sequence_is_refused() -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match="'vit_tiny_patch16_224' is no sequence of stages"):
        parts_of(Backbone("vit_tiny_patch16_224").body, "vit_tiny_patch16_224")


def test_a_frozen_tree_keeps_weights_and_statistics() -> None:
    torch.manual_seed(0)
    tree = tree_of(Backbone("test_resnet", freeze=True), {"stage2": [["semseg", "edge"], ["depth"]]}).train()
    before = copy.deepcopy(tree.state_dict())
    leaves = tree(image())
    assert not any(x.requires_grad for maps in leaves for x in maps.values())
    assert all(torch.equal(value, before[key]) for key, value in tree.state_dict().items())
