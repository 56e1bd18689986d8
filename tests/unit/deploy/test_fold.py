from __future__ import annotations

import pytest
import torch
from tiny_networks import BACKBONE, far_network, mixed_network, plain_network, pyramid_network, randomised, records
from torch import nn

from atrcnas.ground.errors import ExportError
from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.model import BackboneSpec
from atrcnas.spec.pairs import Pair

CONV_BACKBONES = ("mobilenetv3_small_050", "test_convnext", "resnet18", "hrnet_w18_small_v2")


def _networks() -> dict[str, object]:
    plain = {name: lambda name=name: plain_network(name) for name in CONV_BACKBONES}
    return {"mixed": mixed_network, "pyramid": pyramid_network, "far": far_network, **plain}


def _unfolded(net: nn.Module) -> list[str]:
    norms = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    return norms + [
        name for name, module in net.named_modules() if isinstance(module, PairConvBN) and module.folded_bias is None
    ]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", _networks())
def test_folding_changes_no_prediction_and_leaves_no_batch_norm(name: str, plain: bool) -> None:
    net = _networks()[name]().double()
    before = len(_unfolded(net))
    folded = fold_batch_norm(net, plain=plain)
    image = torch.rand(2, 3, 50, 70, dtype=torch.float64)
    with torch.no_grad():
        expected, got = net(image).predictions, folded(image).predictions
    for task, wanted in expected.items():
        span = wanted.max() - wanted.min()
        assert span > 0
        assert (wanted - got[task]).abs().max() / span < 1e-9
    assert before > 0
    assert _unfolded(folded) == []
    assert len(_unfolded(net)) == before, "the original was changed"


def test_no_convolution_is_left_between_the_maps_and_the_last_one() -> None:
    refiner = randomised(ContextRefiner({Pair("a", "b"): ("local",), Pair("a", "c"): ("linear",)}, 8).double())
    features = {task: torch.randn(2, 8, 9, 10, dtype=torch.float64) for task in "abc"}
    folded = fold_batch_norm(refiner)
    names = [name for name, module in folded.fuse["a"].named_modules() if isinstance(module, nn.Conv2d)]
    assert names == ["refine.0.0"]
    with torch.no_grad():
        torch.testing.assert_close(folded(features)["a"], refiner.eval()(features)["a"], rtol=0.0, atol=1e-12)


def test_folding_works_in_training_mode_and_keeps_it() -> None:
    net = plain_network(BACKBONE).train()
    folded = fold_batch_norm(net)
    assert net.training and not folded.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_convolution_that_is_read_twice_is_not_folded() -> None:
    net = plain_network(BACKBONE).double()
    net.stems["4"]["depth"] = _ReadTwice(net.stems["4"]["depth"]).eval()
    folded = fold_batch_norm(net)
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(net(image).predictions["depth"], folded(image).predictions["depth"], rtol=1e-9)
    assert _unfolded(folded) == ["stems.4.depth.block.1"]


def test_a_batch_norm_without_a_convolution_before_it_stays() -> None:
    net = plain_network(BACKBONE).double()
    stem = net.stems["4"]["depth"]
    norm = nn.BatchNorm2d(stem[0].in_channels).double()
    norm.running_mean.uniform_(-1, 1)
    # What the norm reads is gone when the next convolution writes, so that its address may be taken again.
    net.stems["4"]["depth"] = nn.Sequential(nn.ReLU(), norm, nn.ReLU(), stem).eval()
    folded = fold_batch_norm(net)
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(net(image).predictions["depth"], folded(image).predictions["depth"], rtol=1e-9)
    assert _unfolded(folded) == ["stems.4.depth.1"]


def test_a_searching_network_is_refused_with_the_way_out() -> None:
    candidates = {Pair("depth", "depth"): ("none", "global")}
    searching = MultiTaskNet(records("depth"), candidates, BackboneSpec(name=BACKBONE))
    with pytest.raises(ExportError, match="Retrain"):
        fold_batch_norm(searching)


class _Foreign(nn.Module):
    """Somebody's network with two refiners in it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        pairs = {Pair("a", "b"): ("wide",), Pair("b", "a"): ("local+aspp",)}
        self.refiners = nn.ModuleList(ContextRefiner(pairs, 8) for _ in range(2))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        features = dict.fromkeys("ab", self.encoder(image))
        for refiner in self.refiners:
            features = refiner(features)
        return features


@pytest.mark.parametrize("traced", [True, False])
def test_any_network_that_holds_refiners_can_be_folded(traced: bool) -> None:
    net = randomised(_Foreign().double())
    image = torch.rand(2, 3, 20, 30, dtype=torch.float64)
    folded = fold_batch_norm(net, inputs=(image,)) if traced else fold_batch_norm(net)
    with torch.no_grad():
        for task, expected in net(image).items():
            torch.testing.assert_close(folded(image)[task], expected, rtol=0.0, atol=1e-9)
    assert _unfolded(folded) == ([] if traced else ["encoder.1"])
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    again = fold_batch_norm(folded)
    with torch.no_grad():
        assert torch.equal(again(image)["a"], folded(image)["a"])


def test_a_refiner_alone_can_be_folded_unless_it_searches() -> None:
    assert _unfolded(fold_batch_norm(ContextRefiner({Pair("a", "b"): ("local",)}, 8))) == []
    with pytest.raises(ExportError, match="put a ContextRefiner with one kind per pair in its place"):
        fold_batch_norm(ContextRefiner({Pair("a", "b"): ("local", "none")}, 8))


class _ReadTwice(nn.Module):
    def __init__(self, block: nn.Sequential) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block[0](x)
        return self.block[1](y) + y
