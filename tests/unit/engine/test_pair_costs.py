"""What a pair costs is what a network without its context, built anew, does not need."""

from __future__ import annotations

import pytest

from atrcnas.engine.costs import multiply_adds
from atrcnas.engine.networks import fixed_network
from atrcnas.engine.pair_costs import pair_costs
from atrcnas.nn.fold import inference_copy
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair
from tests.conftest import TINY

SIZE = (64, 96)
KINDS = {
    Pair("semseg", "semseg"): "local",
    Pair("semseg", "depth"): "slabel",
    Pair("depth", "semseg"): "tlabel",  # by the label map of depth, as the pair before
    Pair("depth", "depth"): "none",
}


@pytest.mark.parametrize("levels, hidden", [((4,), None), ((4,), 6), ((4, 8), None)])
def test_a_pair_costs_what_leaving_it_out_saves(levels: tuple[int, ...], hidden: int | None) -> None:
    model = {"neck": "pyramid", "head": "pyramid"} if len(levels) > 1 else TINY["model"]
    value = {
        **TINY,
        "model": {**model, "hidden": hidden},
        "backbone": {"name": "mobilenetv3_small_050", "weights": "none"},
    }
    experiment = Experiment.load(value)
    kinds = {Pair(*pair[:2], level): kind for level in levels for pair, kind in KINDS.items()}
    whole = fixed_network(experiment, ContextConfig.from_kinds(kinds))
    costs = pair_costs(whole, SIZE)
    assert list(costs) == [pair for level in reversed(levels) for pair in kinds if pair.level == level]
    for pair in kinds:
        rest = fixed_network(experiment, ContextConfig.from_kinds({**kinds, pair: "none"}))
        assert costs[pair]["multiply_adds"] == multiply_adds(whole, SIZE) - multiply_adds(rest, SIZE)
        assert costs[pair]["parameters"] == parameters(whole) - parameters(rest)
        assert (costs[pair]["multiply_adds"] > 0) == (kinds[pair] != "none")


def parameters(net: object) -> int:
    return sum(parameter.numel() for parameter in inference_copy(net).parameters())  # type: ignore[arg-type]
