"""Families of backbones in tiny: where their maps lie, which weights they load, in which order their layers come."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.optim import param_groups_layer_decay
from torch.nn.functional import avg_pool2d

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.backbone import Backbone

PLAIN = {"embed_dim": 8, "depth": 4, "num_heads": 2}
TINY: dict[str, dict[str, object]] = {
    "vit_small_patch16_224": PLAIN,
    "vit_small_patch14_dinov2": PLAIN,
    "swin_tiny_patch4_window7_224": {"embed_dim": 8, "depths": [1, 2, 2, 1], "num_heads": [1, 1, 2, 2]},
    "convnext_tiny": {"depths": [1, 1, 2, 1], "dims": [4, 8, 12, 16]},
    "tf_efficientnet_lite0": {},
    "mobilenetv3_small_050": {},
    "test_resnet": {},
    "hrnet_w18_small": {},
}


def tiny(name: str, weights: str = "none", **options: object) -> Backbone:
    return Backbone(name, weights, options={**TINY[name], **options})


@pytest.mark.parametrize("size", [(61, 90), (96, 128), (33, 47)])
@pytest.mark.parametrize(("name", "patch"), [("vit_small_patch14_dinov2", 14), ("vit_small_patch16_224", 16)])
def test_what_a_patch_saw_lies_where_the_patch_is(name: str, patch: int, size: tuple[int, int]) -> None:
    """An image of its own coordinates, seen as means of patches: each pixel of a map holds the place of its centre."""
    backbone = tiny(name)
    backbone.body.forward = lambda image: [avg_pool2d(image, patch)] * 4  # type: ignore[method-assign]
    rows, columns = (torch.arange(side).double() + 0.5 for side in size)
    image = torch.stack([rows[:, None].expand(size), columns.expand(size), torch.zeros(size)])[None]
    for level, found in backbone(image).items():
        assert found.shape[-2:] == tuple(-(-side // level) for side in size)
        for axis, side in enumerate(size):
            centres = (torch.arange(-(-side // level)) + 0.5) * level
            # Between the centres of the first and of the last patch that is not partly padding.
            inside = (centres >= patch / 2) & (centres <= side // patch * patch - patch / 2)
            places = found[0, axis].movedim(axis, 0)[:, 0]
            assert torch.allclose(places[inside], centres[inside].double()), (level, axis)


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, None) for name in TINY]
    + [("vit_small_patch16_224", [64, 96]), ("vit_small_patch14_dinov2", [56, 84])]
    + [("swin_tiny_patch4_window7_224", [64, 96])],
)
def test_local_weights_of_every_family_are_loaded(name: str, size: list[int] | None, tmp_path: Path) -> None:
    """Under timm's names for the whole model; those that depend on the image's size are resized."""
    options, path = ({} if size is None else {"img_size": size}), tmp_path / "w.safetensors"
    whole = timm.create_model(name, **TINY[name]).state_dict()
    save_file(whole, path)
    theirs = {key.replace(".", "_"): value for key, value in whole.items()}
    loaded = 0
    for key, value in tiny(name, str(path), **options).body.state_dict().items():
        given = theirs[key.removeprefix("body.").removeprefix("model.").replace(".", "_")]
        if "pos_embed" in key or "relative_position" in key:
            assert size is not None or torch.equal(value, given)
        else:
            assert torch.equal(value, given), key
            loaded += 1
    assert loaded > 8


@pytest.mark.parametrize("name", TINY)
def test_layers_come_in_the_order_of_timms_own_layer_decay(name: str) -> None:
    """timm's groups of the whole model; its last layer, the classifier, stands where our new layers do."""
    whole = timm.create_model(name, num_classes=3, **TINY[name])
    keys = {id(parameter): key.replace(".", "_") for key, parameter in whole.named_parameters()}
    given = whole.no_weight_decay() if hasattr(whole, "no_weight_decay") else ()
    scales, exempt = {}, set()
    for group in param_groups_layer_decay(whole, 0.1, given, layer_decay=0.5):
        for parameter in group["params"]:
            scales[keys[id(parameter)]] = group["lr_scale"]
            if group["weight_decay"] == 0 and parameter.ndim > 1:
                exempt.add(keys[id(parameter)])
    rules = tiny(name).training_rules()
    assert rules.depths is not None
    found = {
        key.removeprefix("body.").removeprefix("model.").replace(".", "_"): 0.5**depth
        for key, depth in rules.depths.items()
    }
    assert found == {key: scales[key] for key in found}
    assert len(set(found.values())) > 4
    assert {key.removeprefix("body.").removeprefix("model.").replace(".", "_") for key in rules.undecayed} == exempt
    assert bool(exempt) == ("vit" in name or "swin" in name)


def test_options_that_need_each_other_are_taken_together_and_the_wrong_one_is_named() -> None:
    options = {"embed_dim": 8, "depth": 4, "num_heads": 2}
    assert set(Backbone("vit_tiny_patch16_224", options=options).widths.values()) == {8}
    with pytest.raises(ConfigError, match=r"backbone\.options\.bogus: .* does not take bogus: 1"):
        Backbone("vit_tiny_patch16_224", options={**options, "bogus": 1})
    with pytest.raises(ConfigError, match=r"backbone\.options: .* does not take \{'bogus': 1, 'worse': 2\}"):
        Backbone("vit_tiny_patch16_224", options={"bogus": 1, "worse": 2})
