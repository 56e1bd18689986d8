"""The one model: every point of the configuration space builds, runs, learns and predicts at the image's size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet, Outputs
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import LEVELS, Pair, all_pairs
from atrcnas.spec.tasks import TASKS, Task

TINY = "mobilenetv3_small_050"
TWO = ("semseg", "depth")
PYRAMID = {"neck": "pyramid", "head": "pyramid"}


def records(names: Sequence[str]) -> dict[str, Task]:
    return {name: TASKS[name].with_options(5 if TASKS[name].channels is None else None) for name in names}


def pools(
    targets: Sequence[str], kinds: Sequence[str], levels: Sequence[int] = (4,), sources: Sequence[str] | None = None
) -> dict[Pair, tuple[str, ...]]:
    """The same kinds for every pair; those that do not fit the diagonal left out there."""
    return {
        pair: tuple(kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal) or (NONE,)
        for pair in all_pairs(targets, levels, sources)
    }


def distilling(targets: Sequence[str], levels: Sequence[int], sources: Sequence[str]) -> dict[Pair, tuple[str, ...]]:
    return {p: (NONE,) if p.on_diagonal else ("mti",) for p in all_pairs(targets, levels, sources)}


def build(
    targets: Sequence[str],
    candidates: dict[Pair, tuple[str, ...]],
    auxiliary: Sequence[str] = (),
    backbone: BackboneSpec | None = None,
    **model: Any,
) -> MultiTaskNet:
    torch.manual_seed(0)
    model.setdefault("width", None if model.get("neck") == "pyramid" else 8)
    backbone = backbone or BackboneSpec(name=TINY)
    return MultiTaskNet(records(targets), candidates, backbone, ModelSpec(**model), records(auxiliary))


def image(height: int = 64, width: int = 64, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def draw(net: MultiTaskNet) -> Mixture | None:
    return Sampler(net.candidates).draw(0, 1.0) if net.searching else None


def check_step(net: MultiTaskNet, size: tuple[int, int] = (64, 64)) -> Outputs:
    """Forward and backward in training mode; everything learns and predictions have the image's size."""
    net.train()
    out = net(image(*size), mixture=draw(net))
    assert tuple(out.predictions) == net.tasks
    for name, prediction in out.predictions.items():
        assert tuple(prediction.shape) == (2, records([name])[name].num_channels, *size)
        assert prediction.isfinite().all()
    everything = [*out.predictions.values(), *out.labels.values(), *out.initial.values()]
    sum((x * torch.linspace(-1, 1, x.numel()).reshape(x.shape)).sum() for x in everything).backward()
    dead = [name for name, parameter in net.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert dead == [], "parameters without a gradient"
    return out


POINTS: dict[str, dict[str, Any]] = {
    "multi-task baseline": {"candidates": {}},
    "MTI-Net's baseline": {"candidates": {}, "task_features": "none", "fuse": "sum", "refine": False, **PYRAMID},
    "PAD-Net": {
        "candidates": distilling(TWO, (4,), TWO),
        "task_features": "bottleneck2",
        "deep_supervision": True,
        "fuse": "sum",
        "refine": False,
        "head": "bottleneck2",
    },
    "MTI-Net": {
        "candidates": distilling(TWO, LEVELS, TWO),
        "task_features": "basic2",
        "deep_supervision": True,
        "propagate": True,
        "fuse": "sum",
        "refine": False,
        **PYRAMID,
    },
    **{f"uniform {kind.name}": {"candidates": pools(TWO, [kind.name])} for kind in KINDS if kind.module is not None},
    "all none, refined": {"candidates": pools(TWO, [NONE])},
    "published ATRC": {
        "candidates": {
            Pair("semseg", "semseg"): ("tlabel",),
            Pair("semseg", "depth"): ("none",),
            Pair("depth", "semseg"): ("slabel",),
            Pair("depth", "depth"): ("global",),
        }
    },
    "supernet": {"candidates": pools(TWO, KINDS.names)},
    "search on a pyramid": {
        "candidates": pools(TWO, ("none", "global", "tlabel", "slabel", "mti"), LEVELS),
        "task_features": "basic2",
        "deep_supervision": True,
        "propagate": True,
        **PYRAMID,
    },
    "search on a pyramid, no propagation": {
        "candidates": pools(TWO, ("none", "local", "slabel"), LEVELS),
        "task_features": "basic2",
        "fuse": "sum",
        **PYRAMID,
    },
    "contexts at one level of a pyramid": {
        "candidates": pools(TWO, ("global",), (16,)),
        "task_features": "basic2",
        "propagate": True,
        **PYRAMID,
    },
    "pyramid without task features": {
        "candidates": pools(TWO, ("global", "slabel"), LEVELS),
        "task_features": "none",
        **PYRAMID,
    },
    "ASPP heads": {"candidates": pools(TWO, ("global",)), "head": "aspp"},
    "conv3 and a bottleneck head": {
        "candidates": pools(TWO, ("mti",)),
        "head": "bottleneck2",
        "deep_supervision": True,
    },
}


@pytest.mark.parametrize("point", POINTS)
def test_point_of_the_space_builds_runs_and_learns(point: str) -> None:
    net = build(TWO, **POINTS[point])
    out = check_step(net)
    model = net.model
    assert bool(out.initial) == model.deep_supervision
    assert {level for _, level in out.initial} <= set(net.levels)
    needed = {
        (task, pair.level)
        for pair, kinds in POINTS[point]["candidates"].items()
        for kind in kinds
        for task, needs in (
            (pair.target, KINDS[kind].needs_target_label),
            (pair.source, KINDS[kind].needs_source_label),
        )
        if needs
    }
    assert set(out.labels) == needed, "label branches follow from what the kinds need"


THREE_LEVELS = BackboneSpec(name="resnet10t", options={"output_stride": 16})


def test_a_backbone_of_one_level_is_enough_for_the_concat_neck() -> None:
    check_step(build(TWO, pools(TWO, KINDS.names), backbone=BackboneSpec(name="atrcnas_small")))


def test_a_pyramid_has_the_levels_of_its_backbone() -> None:
    settings = {**POINTS["MTI-Net"], "candidates": distilling(TWO, (4, 16), TWO)}
    net = build(TWO, backbone=THREE_LEVELS, **settings)
    assert net.levels == (4, 8, 16)
    check_step(net)


def test_contexts_at_a_level_the_backbone_lacks_are_refused() -> None:
    for backbone, settings, levels in (
        (
            BackboneSpec(name="atrcnas_small"),
            {"width": 8},
            r"\[8\]: expected some of \[4\].*neck: concat.*atrcnas_small",
        ),
        (THREE_LEVELS, POINTS["MTI-Net"], r"\[32\]: expected some of \[4, 8, 16\].*neck: pyramid.*resnet10t"),
    ):
        with pytest.raises(ConfigError, match=f"levels {levels}"):
            build(TWO, backbone=backbone, **{"candidates": pools(TWO, ("global",), (4, 8)), **settings})


@pytest.mark.parametrize("settings", [{"width": 8}, {"neck": "pyramid", "head": "pyramid", "task_features": "none"}])
def test_pooled_maps_are_as_wide_as_asked_for_at_every_level(settings: dict[str, Any]) -> None:
    levels = LEVELS if "neck" in settings else (4,)
    net = build(TWO, pools(TWO, ("local", "wide"), levels), hidden=6, **settings)
    assert all(kind.out_width == 6 for refiner in net.refiners.values() for kind in refiner.contexts.values())
    check_step(net)


def test_single_task() -> None:
    check_step(build(("edge",), {}))
    check_step(build(("edge",), pools(("edge",), ("local",))))


@pytest.mark.parametrize("point", ["PAD-Net", "MTI-Net"])
def test_auxiliary_tasks_help_and_are_supervised_but_not_predicted(point: str) -> None:
    settings = dict(POINTS[point])
    levels = LEVELS if settings.get("neck") == "pyramid" else (4,)
    settings["candidates"] = distilling(TWO, levels, (*TWO, "edge", "normals"))
    net = build(TWO, auxiliary=("edge", "normals"), **settings)
    out = check_step(net)
    assert tuple(out.predictions) == TWO
    assert {task for task, _ in out.initial} == {*TWO, "edge", "normals"}


def test_auxiliary_tasks_with_label_contexts() -> None:
    candidates = pools(TWO, ("slabel", "global"), sources=(*TWO, "normals"))
    out = check_step(build(TWO, candidates, auxiliary=("normals",)))
    assert ("normals", 4) in out.labels
    assert "normals" not in out.predictions


def test_auxiliary_tasks_without_task_features() -> None:
    candidates = pools(TWO, ("global",), (4,), (*TWO, "edge"))
    check_step(build(TWO, candidates, auxiliary=("edge",), task_features="none", **PYRAMID))


SUBSETS = [
    *((name,) for name in TASKS.names),
    *itertools.islice(itertools.permutations(TASKS.names, 2), 0, None, 7),
    ("sal", "edge", "semseg"),
    tuple(reversed(TASKS.names)),
    TASKS.names,
]


@pytest.mark.parametrize("names", SUBSETS, ids=",".join)
def test_any_subset_and_order_of_the_tasks(names: tuple[str, ...]) -> None:
    net = build(names, pools(names, ("slabel", "tlabel"))).eval()
    with torch.no_grad():
        out = net(image(32, 32, batch=1), mixture=draw(net))
    assert tuple(out.predictions) == names
    assert {task for task, _ in out.labels} == set(names)
    for name, record in records(names).items():
        assert out.predictions[name].shape == (1, record.num_channels, 32, 32)
        assert out.labels[name, 4].shape == (1, record.num_labels, 8, 8)


@pytest.mark.parametrize("size", [(33, 47), (31, 32), (1, 1), (7, 90), (64, 96)], ids=str)
@pytest.mark.parametrize("point", ["supernet", "MTI-Net"])
def test_any_image_size(point: str, size: tuple[int, int]) -> None:
    check_step(build(TWO, **POINTS[point]), size)


@pytest.mark.parametrize("point", ["supernet", "MTI-Net", "search on a pyramid", "ASPP heads"])
def test_what_is_in_the_padding_does_not_matter(point: str) -> None:
    net = build(TWO, **POINTS[point]).double().eval()
    valid = torch.zeros(2, 1, 61, 70, dtype=torch.bool)
    valid[..., 3:36, 8:55] = True
    small = torch.nn.functional.pad(image(33, 47).double(), (8, 15, 3, 25))
    mixture = draw(net)
    with torch.no_grad():
        one, two = (net(small + (~valid) * x, valid, mixture).predictions for x in (7, image(61, 70).double()))
        without = net(small + (~valid) * 7, None, mixture).predictions
    for task in TWO:
        assert torch.equal(one[task], two[task])
        assert not torch.equal(one[task], without[task])


def test_padding_reaches_the_contexts_as_a_mask_of_their_size() -> None:
    """Without the mask, contexts would pool from the padding: the prediction must differ."""
    net = build(TWO, **POINTS["search on a pyramid"]).eval()
    valid = torch.ones(2, 1, 33, 47, dtype=torch.bool)
    valid[..., 20:, :] = valid[..., :, 40:] = False
    seen: dict[str, tuple[Tensor | None, torch.Size]] = {}
    for level, refiner in net.refiners.items():
        refiner.register_forward_pre_hook(
            lambda module, args, level=level: seen.update({level: (args[2], args[0]["depth"].shape)})
        )
    with torch.no_grad():
        net(image(33, 47), valid, draw(net))
    for level in LEVELS:
        mask, shape = seen[str(level)]
        assert mask.shape == (2, 1, *shape[-2:]) == (2, 1, -(-33 // level), -(-47 // level))
        assert mask[0, 0].nonzero().max(0).values.tolist() == [19 // level, 39 // level]
    with torch.no_grad():
        net(image(33, 47), None, draw(net))
    assert all(mask is None for mask, _ in seen.values()), "an image of any size is all image"


def test_image_of_nothing_but_padding_is_finite() -> None:
    net = build(TWO, **POINTS["supernet"]).train()
    valid = torch.ones(2, 1, 40, 40, dtype=torch.bool)
    valid[1] = False
    out = net(image(40, 40), valid, draw(net))
    sum(x.square().mean() for x in (*out.predictions.values(), *out.labels.values())).backward()
    assert all(x.isfinite().all() for x in out.predictions.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_bytes_and_floats_are_the_same_image() -> None:
    net = build(TWO, {}).eval()
    bytes_ = (image() * 255).round().to(torch.uint8)
    with torch.no_grad():
        a, b = net(bytes_).predictions, net(bytes_.float() / 255).predictions
    assert all(torch.allclose(a[task], b[task]) for task in TWO)


def test_label_losses_do_not_reach_the_backbone() -> None:
    net = build(TWO, pools(TWO, ("slabel",))).train()
    out = net(image())
    sum(x.square().mean() for x in out.labels.values()).backward()
    assert all(parameter.grad is None for parameter in net.backbone.parameters())
    assert all(parameter.grad is not None for parameter in net.labels.parameters())


def test_searching_depends_on_the_candidates_alone() -> None:
    assert build(TWO, pools(TWO, ("none", "local"))).searching
    assert not build(TWO, pools(TWO, ("local",))).searching
    assert not build(TWO, {}).searching
    candidates = pools(TWO, ("none", "global"), LEVELS)
    assert build(TWO, candidates, task_features="basic2", **PYRAMID).candidates == candidates


def test_same_seed_same_network() -> None:
    one, two = (build(TWO, **POINTS["supernet"]).state_dict() for _ in range(2))
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_state_dict_of_a_supernet_loads_into_another() -> None:
    one, two = (build(TWO, **POINTS["search on a pyramid"]) for _ in range(2))
    check_step(one)
    two.load_state_dict(one.state_dict())
    mixture = draw(one)
    with torch.no_grad():
        a, b = (net.eval()(image(), mixture=mixture).predictions for net in (one, two))
    assert all(torch.equal(a[task], b[task]) for task in TWO)


def test_several_mixtures_share_what_comes_before_the_contexts() -> None:
    kinds = ("none", "local", "tlabel")
    candidates = pools(TWO, kinds)
    net = MultiTaskNet(records(TWO), candidates, BackboneSpec(name="atrcnas_small"), ModelSpec(width=8)).eval()
    image = torch.rand(1, 3, 33, 46)
    mixtures = [Mixture.one_hot(dict.fromkeys(candidates, kind)) for kind in kinds]
    calls: list[int] = []
    net.backbone.register_forward_hook(lambda *_: calls.append(1))
    encoded = net.encode(image)
    decoded = [net.decode(encoded, mixture) for mixture in mixtures]
    assert len(calls) == 1
    for mixture, predictions in zip(mixtures, decoded, strict=True):
        whole = net(image, None, mixture).predictions
        assert all(torch.equal(whole[name], predictions[name]) for name in TWO)
