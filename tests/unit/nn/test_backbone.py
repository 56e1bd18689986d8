"""timm backbones as pyramids: levels, local weight files, what is refused, freezing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.small_backbone import SmallBackbone
from atrcnas.spec.model import BackboneSpec
from atrcnas.spec.pairs import LEVELS
from atrcnas.spec.schema import validate

TINY = "mobilenetv3_small_050"
WIDTHS = {
    "hrnet_w18_small_v2": (18, 36, 72, 144),
    "hrnet_w48": (48, 96, 192, 384),
    "resnet50": (256, 512, 1024, 2048),
    "tf_efficientnet_lite0": (24, 40, 112, 320),
    "convnext_tiny": (96, 192, 384, 768),
    "vit_tiny_patch16_224": (192, 192, 192, 192),
    TINY: (8, 16, 24, 288),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_backbone_has_four_levels_of_the_right_strides(name: str) -> None:
    with torch.device("meta"):
        backbone = Backbone(name).eval()
        maps = backbone(torch.empty(1, 3, 96, 64))
    assert tuple(backbone.widths.items()) == tuple(zip(LEVELS, WIDTHS[name], strict=True))
    assert {level: tuple(x.shape) for level, x in maps.items()} == {
        level: (1, width, 96 // level, 64 // level) for level, width in backbone.widths.items()
    }


@pytest.mark.parametrize(
    "name",
    [TINY, "hrnet_w18_small_v2", "resnet18", "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224"],
)
def test_backbone_runs_on_images_of_other_sizes(name: str) -> None:
    backbone = Backbone(name).eval()
    with torch.no_grad():
        for height, width in ((64, 96), (32, 32), (107, 140), (33, 47), (1, 7)):
            maps = backbone(torch.rand(1, 3, height, width))
            assert all(x.shape[-2:] == (-(-height // level), -(-width // level)) for level, x in maps.items())


def test_a_backbone_that_rounds_up_itself_sees_no_padding_and_another_is_cut() -> None:
    """On 64x96 both are timm's own maps; what an image of 61x90 gives tells them apart."""
    image = torch.rand(1, 3, 61, 90, dtype=torch.float64)
    padded = torch.nn.functional.pad(image, (0, 6, 0, 3))
    for name, pads in (("resnet18", False), ("convnext_atto", True)):
        backbone = Backbone(name).double().eval()
        with torch.no_grad():
            ours, own = backbone(image), backbone.body(padded if pads else image)
        for level, theirs in zip(LEVELS, own, strict=True):
            assert torch.equal(ours[level], theirs[..., : -(-61 // level), : -(-90 // level)])
            assert pads or ours[level].shape == theirs.shape


@pytest.mark.parametrize("name", ["hrnet_w18_small_v2", "hrnet_w18"])
def test_hrnet_is_timms_own_where_its_maps_fit(name: str) -> None:
    backbone = Backbone(name).eval()
    settings = {"features_only": True, "feature_location": "", "out_indices": (1, 2, 3, 4)}
    own = timm.create_model(name, **settings).eval()
    own.load_state_dict(backbone.body.state_dict())
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(backbone(image).values(), own(image), strict=True))
        with pytest.raises(RuntimeError, match="must match the size"):
            own(image[..., :61, :90])


def test_published_backbone_has_its_number_of_parameters() -> None:
    """The published backbone has 3.86072 M parameters; timm's classification features (64 to 1024 channels) would have more."""
    with torch.device("meta"):
        backbone = Backbone("hrnet_w18_small_v2")
    assert sum(parameter.numel() for parameter in backbone.parameters()) == pytest.approx(3.86072e6, abs=10)


@pytest.mark.parametrize(("name", "width"), [("swin_tiny_patch4_window7_224", 96), ("vit_small_patch14_dinov2", 384)])
def test_maps_of_transformers_of_one_size_or_of_channels_last_are_brought_into_form(name: str, width: int) -> None:
    with torch.no_grad():
        maps = Backbone(name).eval()(torch.rand(1, 3, 64, 128))
    assert tuple(maps[4].shape) == (1, width, 16, 32)


def test_a_backbone_of_one_image_size_is_refused_unless_that_size_is_set() -> None:
    name = "beit_base_patch16_224"
    with torch.no_grad():
        with pytest.raises(ConfigError, match=f"'{name}' does not take images of any size.*img_size"):
            Backbone(name)
        backbone = Backbone(name, options={"img_size": [32, 48]}).eval()
        assert backbone(torch.rand(1, 3, 32, 48))[4].shape[-2:] == (8, 12)
        with pytest.raises(ConfigError, match=r"only images of \(32, 48\), got \(64, 48\)"):
            backbone(torch.rand(1, 3, 64, 48))


def test_our_small_backbone_has_one_level_and_sees_seven_pixels() -> None:
    backbone = Backbone("atrcnas_small").eval()
    assert backbone.widths == {4: 32}
    image = torch.rand(1, 3, 40, 40, requires_grad=True)
    maps = backbone(image)
    assert {level: tuple(x.shape) for level, x in maps.items()} == {4: (1, 32, 10, 10)}
    maps[4][0, :, 5, 5].sum().backward()
    seen = image.grad[0].abs().sum(0).nonzero()
    assert seen.min(0).values.tolist() == [17, 17]
    assert seen.max(0).values.tolist() == [23, 23]


def test_a_backbone_has_the_levels_its_model_has() -> None:
    backbone = Backbone("resnet18", options={"output_stride": 16}).eval()
    assert backbone.widths == {4: 64, 8: 128, 16: 512}
    with torch.no_grad():
        assert {k: tuple(x.shape[2:]) for k, x in backbone(torch.rand(1, 3, 64, 32)).items()} == {
            4: (16, 8),
            8: (8, 4),
            16: (4, 2),
        }
    with pytest.raises(ConfigError, match=r"strides \[16, 32, 64\], expected 4 among them"):
        Backbone("levit_128s")


def test_a_model_that_reads_values_while_it_is_built_is_described_and_draws_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = SmallBackbone.__init__

    def reading(self: SmallBackbone, **options: int) -> None:
        assert torch.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
        plain(self, **options)

    drawn = []
    for constructor in (plain, reading):
        monkeypatch.setattr(SmallBackbone, "__init__", constructor)
        torch.manual_seed(0)
        drawn.append(Backbone("atrcnas_small").state_dict())
    assert all(torch.equal(drawn[1][key], value) for key, value in drawn[0].items())


def test_options_reach_the_model() -> None:
    rates = [
        module.drop_prob
        for module in Backbone("convnext_atto", options={"drop_path_rate": 0.5}).modules()
        if type(module).__name__ == "DropPath"
    ]
    assert max(rates) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("bogus", 1, "unexpected keyword argument 'bogus'"),
        ("drop_path_rate", "much", "unsupported operand"),
        ("output_stride", 7, "AssertionError"),
    ],
)
def test_an_option_that_the_model_does_not_take_is_named(key: str, value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"backbone\.options\.{key}: 'resnet18' does not take {key}: .*{reason}"):
        Backbone("resnet18", options={"zero_init_last": False, key: value})


@pytest.mark.parametrize("key", ["pretrained", "features_only", "out_indices", "num_classes", "checkpoint_path"])
def test_options_that_the_network_decides_itself_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"x\.yaml: options: {key}: decided by the network"):
        validate(BackboneSpec, {"name": TINY, "options": {"drop_path_rate": 0.1, key: 1}}, "x.yaml")


def test_weights_that_cannot_be_downloaded_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = timm.create_model

    def offline(name: str, pretrained: bool = False, **settings: object) -> object:
        if pretrained:
            raise FileNotFoundError("no route to the hub")
        return whole(name, **settings)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"timm's hub \(no route to the hub\).*local file"):
        Backbone(TINY, "hub")


def test_hrnet_enlarges_its_branches_as_asked() -> None:
    near, smooth = (Backbone("hrnet_w18_small_v2", upsample=how) for how in ("nearest", "bilinear"))
    step = torch.tensor([[[[0.0, 1.0]]]])
    for backbone, expected in ((near, [0, 0, 1, 1]), (smooth, [0, 0.25, 0.75, 1])):
        for enlarge in (m for m in backbone.modules() if isinstance(m, torch.nn.Upsample) and m.scale_factor == 2):
            assert enlarge(step)[0, 0, 0].tolist() == expected


def test_a_backbone_without_branches_to_enlarge_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.upsample.*for HRNet"):
        Backbone(TINY, upsample="bilinear")


def test_unknown_name_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet50'"):
        Backbone("resnet5O")


@pytest.fixture(scope="module")
def whole_model() -> dict[str, torch.Tensor]:
    """As timm publishes it: a state dict of the classifier."""
    torch.manual_seed(3)
    return timm.create_model(TINY).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_local_weights_are_loaded(tmp_path: Path, whole_model: dict[str, torch.Tensor], suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    save_file(whole_model, path) if suffix == ".safetensors" else torch.save(whole_model, path)
    state = Backbone(TINY, str(path)).body.state_dict()
    assert state.keys() <= whole_model.keys()
    assert all(torch.equal(value, whole_model[key]) for key, value in state.items())


def test_shared_weights_are_loaded_where_they_are() -> None:
    found = (folder / "shared/weights/tf_efficientnet_lite0.safetensors" for folder in Path(__file__).resolve().parents)
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        pytest.skip("no shared/weights here")
    weights = load_file(path)
    state = Backbone("tf_efficientnet_lite0", str(path)).body.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in state.items() if key in weights)
    assert len(state.keys() & weights.keys()) > 200


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        Backbone(TINY, str(tmp_path / "none.safetensors"))
    with pytest.raises(CheckpointError):
        Backbone(TINY, str(tmp_path))


def broken(kind: str, path: Path, whole: dict[str, torch.Tensor]) -> Path:
    path = path / f"w.{'pth' if kind == 'text as pth' else 'safetensors'}"
    if kind == "another model":
        save_file(timm.create_model("test_resnet").state_dict(), path)
    elif kind == "other shapes":
        save_file(
            {key: value.repeat(2, *[1] * (value.ndim - 1)) if value.ndim else value for key, value in whole.items()},
            path,
        )
    elif kind == "half of the names":
        save_file(dict(list(whole.items())[: len(whole) // 2]), path)
    elif kind == "cut short":
        save_file(whole, path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.write_text("not weights")
    return path


@pytest.mark.parametrize(
    "kind", ["another model", "other shapes", "half of the names", "cut short", "empty", "text", "text as pth"]
)
def test_wrong_file_is_refused(tmp_path: Path, whole_model: dict[str, torch.Tensor], kind: str) -> None:
    path = broken(kind, tmp_path, whole_model)
    with pytest.raises(CheckpointError, match=r"backbone\.weights: .*w\."):
        Backbone(TINY, str(path))


class Bomb:
    """Runs code when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_pickle_with_code_is_refused_and_not_executed(tmp_path: Path, form: str) -> None:
    path, target = tmp_path / "w.pth", tmp_path / "executed"
    if form == "torch":
        torch.save({"state_dict": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target), protocol=2))
    with pytest.raises(CheckpointError):
        Backbone(TINY, str(path))
    assert not target.exists()
    torch.load(path, weights_only=False) if form == "torch" else pickle.loads(path.read_bytes())  # noqa: S301
    assert target.exists(), "the bomb itself does not work"


def test_frozen_backbone_keeps_weights_and_statistics() -> None:
    backbone = Backbone(TINY, freeze=True).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    assert not backbone.training
    assert not any(module.training for module in backbone.modules())
    maps = backbone(torch.rand(2, 3, 64, 64, requires_grad=True))
    assert not any(x.requires_grad for x in maps.values())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_backbone_that_is_not_frozen_learns() -> None:
    backbone = Backbone(TINY).train()
    before = backbone.body.state_dict()["bn1.running_mean"].clone()
    sum(x.square().mean() for x in backbone(torch.rand(2, 3, 64, 64)).values()).backward()
    assert not torch.equal(backbone.body.state_dict()["bn1.running_mean"], before)
    assert backbone.train().training
    assert all(parameter.grad is not None for parameter in backbone.parameters())
