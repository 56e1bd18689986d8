from __future__ import annotations

import pytest
import torch
from tiny_networks import BACKBONE, mixed_network, records
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from atrcnas.engine.costs import measure_compiled, measure_costs, multiply_adds, peak_memory
from atrcnas.ground.errors import ExportError
from atrcnas.nn.fold import inference_copy
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import LEVELS, Pair

IMAGE = (64, 96)
PIXELS = 16 * 24  # at stride 4
WIDTH, HIDDEN, LABELS = 8, 4, 40


class _Patches(nn.Module):
    """A backbone whose cost is plain: one convolution per level, from patches to the channels the network expects."""

    def __init__(self, widths: dict[int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, width, level, stride=level) for level, width in widths.items())

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return {level: conv(image) for level, conv in zip(LEVELS, self.convs, strict=True)}


def _network(kind: str) -> tuple[MultiTaskNet, dict[int, int]]:
    model = ModelSpec(width=WIDTH, deep_supervision=True)
    net = MultiTaskNet(records("depth"), {Pair("depth", "depth"): (kind,)}, BackboneSpec(name=BACKBONE), model)
    widths = net.backbone.widths
    net.backbone = _Patches(widths)
    return net, widths


def _by_hand(kind: str, widths: dict[int, int]) -> int:
    total = sum(widths.values())
    everywhere = IMAGE[0] * IMAGE[1] * 3 * total + PIXELS * (9 * total * WIDTH + WIDTH)
    if kind == "none":
        return everywhere + PIXELS * WIDTH * WIDTH
    fuse = PIXELS * (HIDDEN * WIDTH + 2 * WIDTH * WIDTH)
    two, one = WIDTH * HIDDEN + HIDDEN * HIDDEN, WIDTH * HIDDEN
    tiles = 2 * 3  # of 8 x 8 queries, each against 16 x 16 keys
    context = {
        "mti": PIXELS * 9 * WIDTH * 2 * HIDDEN,
        "local": PIXELS * (2 * two + one) + 2 * tiles * 64 * 256 * HIDDEN,
        "global": PIXELS * (2 * two + one) + PIXELS * (2 * HIDDEN * HIDDEN + HIDDEN),
        "tlabel": PIXELS * (total * total + total * LABELS)  # the label branch
        + PIXELS * WIDTH * LABELS  # the regions
        + PIXELS * two
        + LABELS * (two + one)
        + 2 * PIXELS * LABELS * HIDDEN,
        "linear": PIXELS * one,
        "wide": PIXELS * (one + 13 * 13 * HIDDEN + HIDDEN * HIDDEN),  # the kernels merged
        "aspp": PIXELS * (one + 3 * 9 * HIDDEN + 4 * HIDDEN * HIDDEN) + HIDDEN * HIDDEN,
        "aspp_dense": PIXELS * (one + 3 * 9 * HIDDEN * HIDDEN + 4 * HIDDEN * HIDDEN) + HIDDEN * HIDDEN,
        "query": PIXELS * (two + 2 * 32 * WIDTH) + 32 * (two + one) + 2 * PIXELS * 32 * HIDDEN,
        "affinity": PIXELS * 2 * one + 2 * tiles * 64 * 256 * (HIDDEN + 1),
        "cross": PIXELS // 4 * (9 * WIDTH + one) + PIXELS // 16 * 2 * one + 2 * (PIXELS // 4) * (PIXELS // 16) * HIDDEN,
    }
    return everywhere + fuse + sum(context[part] for part in kind.split("+"))


KINDS = [
    "none",
    "mti",
    "local",
    "global",
    "tlabel",
    "linear",
    "wide",
    "aspp",
    "aspp_dense",
    "query",
    "affinity",
    "cross",
]


@pytest.mark.parametrize("kind", [*KINDS, "wide+local"])
def test_multiply_adds_are_those_counted_by_hand(kind: str) -> None:
    net, widths = _network(kind)
    assert multiply_adds(net, IMAGE) == _by_hand(kind, widths)


def test_the_count_without_values_is_that_of_a_real_pass() -> None:
    net = mixed_network()
    # As plain products, since the oldest versions of torch count no other attention on the CPU.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        inference_copy(net)(torch.rand(1, 3, 50, 70))
    assert multiply_adds(net, (50, 70)) == counter.get_total_flops() // 2


def test_parameters_are_those_of_the_trained_network_without_initial_predictions() -> None:
    net = mixed_network()
    costs = measure_costs(net, (32, 32), repeats=3)
    initial = sum(parameter.numel() for parameter in net.initial.parameters())
    assert initial > 0
    assert costs["parameters"] == sum(parameter.numel() for parameter in net.parameters()) - initial


def test_latency_is_measured_and_says_how() -> None:
    latency = measure_costs(_network("none")[0], (32, 32), repeats=5)["latency_ms"]
    assert 0 < latency["low"] <= latency["median"] <= latency["high"]
    assert (latency["repeats"], latency["threads"], latency["device"]) == (5, torch.get_num_threads(), "cpu")


def test_no_repeats_are_refused() -> None:
    with pytest.raises(ExportError, match="repeats"):
        measure_costs(_network("none")[0], (32, 32), repeats=0)


def test_a_network_that_does_not_compile_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("no C++ compiler\nmore")

    monkeypatch.setattr(torch, "compile", refuses)
    with pytest.raises(ExportError, match=r"cannot be compiled here \(no C\+\+ compiler\)\. Leave --compiled out"):
        measure_compiled(_network("none")[0], (32, 32))


def test_the_latency_under_compilation_is_that_of_the_folded_network(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda net: given.append(net) or net)
    net = _network("none")[0]
    assert measure_compiled(net, (32, 32), repeats=4)["repeats"] == 4
    assert given[0] is not net
    assert not any(isinstance(module, nn.BatchNorm2d) for module in given[0].stems.modules())


def test_peak_memory_is_what_is_held_at_once() -> None:
    """Of the plain network above, by hand: while the joined maps are made there are the image, the maps and the joined."""
    net, widths = _network("none")
    maps = [width * PIXELS // (level // 4) ** 2 for level, width in widths.items()]
    joined = sum(widths.values()) * PIXELS
    enlarged = joined - widths[4] * PIXELS  # the coarser maps at stride 4
    held = 3 * IMAGE[0] * IMAGE[1] + sum(maps) + enlarged + joined
    assert peak_memory(net, IMAGE) == pytest.approx(4 * held / 1e6, rel=0.02)
