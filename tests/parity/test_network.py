"""A whole published network, read by name: its predictions, and what is refused when a name does not fit."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from make_fixtures import DATA, below, unpack
from published import State, predict, randomise, state_of
from safetensors.torch import load_file

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.atrc_weights import load_network
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.tasks import TASKS

EXACT = {"rtol": 0.0, "atol": 1e-9}
META = json.loads((DATA / "meta.json").read_text(encoding="utf-8"))
ORDER: list[str] = META["tasks"]
CODES = {kind.reference_code: kind.name for kind in KINDS if kind.reference_code is not None}
KIND_OF = {Pair(t, s): CODES[code] for t, row in META["genotype"].items() for s, code in row.items()}


def build(order: list[str], kinds: dict[Pair, str], width: int | None = None, **model: object) -> MultiTaskNet:
    tasks = {name: TASKS[name].with_options(5 if TASKS[name].channels is None else None) for name in order}
    backbone = BackboneSpec(name="hrnet_w18_small_v2", upsample="bilinear")
    candidates = {pair: (kinds[pair],) for pair in all_pairs(order, (4,))}
    return MultiTaskNet(tasks, candidates, backbone, ModelSpec(width=width, **model)).double().eval()


@pytest.fixture(scope="module")
def source() -> MultiTaskNet:
    net = build(ORDER, KIND_OF)
    randomise(net, seed=1)
    return net


@pytest.fixture(scope="module")
def state(source: MultiTaskNet) -> State:
    return state_of(source, ORDER)


@pytest.mark.parametrize(
    ("order", "size"),
    [
        (ORDER, (64, 96)),
        (ORDER[::-1], (107, 140)),
        (ORDER, (33, 47)),
        # NYUD-v2's own, and one of PASCAL-Context's
        *(pytest.param(ORDER, size, marks=pytest.mark.slow) for size in [(425, 560), (375, 500)]),
    ],
)
def test_predictions_are_those_of_the_published_network_at_any_size_and_order_of_tasks(
    state: State, source: MultiTaskNet, order: list[str], size: tuple[int, int]
) -> None:
    net = build(order, KIND_OF)
    load_network(net, state)
    image = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours, given = net(image).predictions, source(image).predictions
    theirs = predict(state, KIND_OF, ORDER, image)
    for task in ORDER:
        assert theirs[task].std() > 1e-3
        torch.testing.assert_close(ours[task], theirs[task], **EXACT)
        torch.testing.assert_close(ours[task], given[task], **EXACT)


def test_relations_of_a_whole_checkpoint_equal_the_golden_outputs() -> None:
    golden = load_file(DATA / "relations.safetensors")
    net = build(ORDER, KIND_OF, width=12)
    whole = {key: value for key, value in state_of(net, ORDER).items() if "atrc_module" not in key}
    given = below(unpack(golden), "fixed.state.")
    blocks = [f"cp_blocks.{t}.{s}." for t, s in itertools.product(ORDER, ORDER)]  # as a checkpoint lists them
    ordered = [key for block in blocks for key in given if key.startswith(block)]
    ordered += [key for key in given if not key.startswith("cp_blocks.")]
    load_network(net, whole | {f"head.atrc_module.{key}": given[key] for key in ordered})
    out = net.refiners["4"](below(golden, "feats."), below(golden, "aux."))
    for task in ORDER:
        torch.testing.assert_close(out[task], golden[f"fixed.out.{task}"], **EXACT)


def test_multi_task_baseline_has_neither_contexts_nor_label_branches() -> None:
    kinds = dict.fromkeys(KIND_OF, "none")
    source, net = build(ORDER, kinds, refine=False), build(ORDER, kinds, refine=False)
    randomise(source, seed=4)
    state = state_of(source, ORDER)
    assert {key.split(".")[1] for key in state if key.startswith("head.")} == {"bottleneck", "final_logits"}
    load_network(net, state)
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        ours, given = net(image).predictions, source(image).predictions
    assert all(torch.equal(ours[task], given[task]) for task in ORDER)


@pytest.mark.parametrize(
    ("name", "modules", "blocks", "widths"),
    [
        ("hrnet_w18_small_v2", (1, 3, 2), 2, (18, 36, 72, 144)),
        ("hrnet_w48", (1, 4, 3), 4, (48, 96, 192, 384)),
    ],
)
def test_backbones_have_the_published_names_and_widths(
    name: str, modules: tuple[int, ...], blocks: int, widths: tuple[int, ...]
) -> None:
    """The last convolution of every branch, and the last way down and up, as the published settings give them."""
    with torch.device("meta"):
        state = Backbone(name).body.state_dict()
    assert state[f"layer1.{blocks - 1}.conv3.weight"].shape == (256, 64, 1, 1)
    for stage, count in zip((2, 3, 4), modules, strict=True):
        at = f"stage{stage}.{count - 1}"
        assert f"stage{stage}.{count}.branches.0.0.conv1.weight" not in state
        for branch, width in enumerate(widths[:stage]):
            assert state[f"{at}.branches.{branch}.{blocks - 1}.conv2.weight"].shape == (width, width, 3, 3)
        coarsest = widths[stage - 1]
        assert state[f"{at}.fuse_layers.{stage - 1}.0.{stage - 2}.0.weight"].shape == (coarsest, widths[0], 3, 3)
        assert state[f"{at}.fuse_layers.0.{stage - 1}.0.weight"].shape == (widths[0], coarsest, 1, 1)
        assert state[f"transition{stage - 1}.{stage - 1}.0.0.weight"].shape[0] == coarsest


def test_every_fault_is_reported_and_nothing_is_loaded(state: State) -> None:
    net = build(ORDER, KIND_OF)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    faulty = {key: value for key, value in state.items() if not key.startswith("head.aux_conv.edge.")}
    faulty["head.final_logits.depth.weight"] = torch.zeros(2, 67, 1, 1)
    faulty["head.extra"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_network(net, faulty)
    message = str(caught.value)
    assert "5 missing (head.aux_conv.edge.conv.weight, " in message
    assert "1 unexpected (head.extra)" in message
    assert "1 of another shape (head.final_logits.depth.weight (expected (1, 67, 1, 1), got (2, 67, 1, 1)))" in message
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_contexts_of_another_config_are_named(state: State) -> None:
    other = {**KIND_OF, Pair("depth", "edge"): "local", Pair("edge", "semseg"): "none"}
    with pytest.raises(CheckpointError, match=r"missing \(head\.atrc_module\.cp_blocks\.depth\.edge\..*unexpected"):
        load_network(build(ORDER, other), state)


def test_a_kind_or_model_the_reference_does_not_have_is_refused(state: State) -> None:
    with pytest.raises(CheckpointError, match="'depth<-edge' is 'mti'"):
        load_network(build(ORDER, {**KIND_OF, Pair("depth", "edge"): "mti"}), state)
    with pytest.raises(CheckpointError, match="task_features: basic2"):
        load_network(build(ORDER, KIND_OF, task_features="basic2"), state)
