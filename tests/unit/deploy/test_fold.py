from __future__ import annotations

import pytest
import torch
from tiny_networks import BACKBONE, far_network, mixed_network, plain_network, pyramid_network, records
from torch import nn

from atrcnas.ground.errors import ExportError
from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.net import MultiTaskNet
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


@pytest.mark.parametrize("name", _networks())
def test_folding_changes_no_prediction_and_leaves_no_batch_norm(name: str) -> None:
    net = _networks()[name]().double()
    before = len(_unfolded(net))
    folded = fold_batch_norm(net)
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


class _ReadTwice(nn.Module):
    def __init__(self, block: nn.Sequential) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block[0](x)
        return self.block[1](y) + y
