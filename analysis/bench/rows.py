"""The rows of the table: what is compared, and the ratio that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from analysis.bench.deployed import CONFIGS, LARGE, SMALL, against_baseline
from analysis.bench.equality import check_refiners, require
from analysis.bench.heads import PRESET, GivenFeatures, Setup, in_reference_structure, neck_features, network, preset
from analysis.bench.measure import Step, inference, interleaved, peak_mib, ratios
from analysis.bench.reference import unfolded_attention
from atrcnas.engine.recalibrate import give_statistics
from atrcnas.nn.contexts.local import window_attention
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.net import MultiTaskNet
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.space import SearchSpace

TAU = 0.7
NUM_DRAWS = 5
LOCAL_SIZE, LOCAL_WIDTH = (107, 140), 33


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        title: what is compared with what.
        targets: device -> {"time": ratio, "memory": ratio}, at most.
        run: measures with (setup, repeats).
    """

    title: str
    targets: Mapping[str, Mapping[str, float]]
    run: Callable[[Setup, int], dict[str, Any]]


def training_step(heads: GivenFeatures, x: Tensor, sampler: Sampler | None = None, num_draws: int = 1000) -> Step:
    """Forward, and backward from fixed gradients of predictions and label logits, down to ``x`` and the logits."""
    cotangents: list[Tensor] = []

    def step(turn: int) -> None:
        out = heads(x, None if sampler is None else sampler.draw(turn % num_draws, TAU))
        maps = [*out["predictions"].values(), *out["labels"].values()]
        if not cotangents:
            cotangents.extend(torch.randn_like(y) for y in maps)
        torch.autograd.backward(maps, cotangents)
        # Here rather than before, so that each step's peak holds one set of gradients.
        heads.zero_grad(set_to_none=True)
        x.grad = None
        if sampler is not None:
            sampler.logits.grad = None

    return step


def compare(steps: Mapping[str, Step], setup: Setup, repeats: int, warmup: int = 2) -> dict[str, Any]:
    """Measure two steps; the first is ours."""
    sides = interleaved(steps, setup.device, repeats, warmup)
    for name, step in steps.items():
        sides[name]["peak_mib"] = peak_mib(step, setup.device)
    return {"sides": sides, "ratio": ratios(*sides.values())}


def soft_step(setup: Setup, repeats: int) -> dict[str, Any]:
    """All candidates of all pairs, under a mixture whose logits get their gradient."""
    pools = SearchSpace.load("atrc").pools(setup.tasks)
    net, sampler = network(setup, pools), Sampler(pools).to(setup.device, setup.dtype)
    x = neck_features(setup, net)
    ours, reference = GivenFeatures(net), in_reference_structure(net)
    differences = check_refiners(net, x, sampler.draw(0, TAU))

    steps = {"ours": training_step(ours, channels_last(x), sampler), "reference": training_step(reference, x, sampler)}
    return {"difference": differences, **compare(steps, setup, repeats)}


def sampled_step(setup: Setup, repeats: int) -> dict[str, Any]:
    """Each turn another draw, against the fixed network of exactly the drawn kinds."""
    pools = SearchSpace.load("atrc").pools(setup.tasks)
    net = network(setup, pools)
    sampler = Sampler(pools, estimator="sampled").to(setup.device, setup.dtype)
    x = channels_last(neck_features(setup, net))
    fixed: dict[int, Step] = {}  # one per draw

    for draw in range(NUM_DRAWS):
        active = sampler.draw(draw, TAU).active
        kinds = {pair: (next(iter(drawn)),) for pair, drawn in zip(sampler.pairs, active, strict=True)}
        fixed[draw] = training_step(GivenFeatures(network(setup, kinds)), x)
    steps = {
        "sampled": training_step(GivenFeatures(net), x, sampler, NUM_DRAWS),
        "fixed": lambda turn: fixed[turn % NUM_DRAWS](turn),
    }
    return compare(steps, setup, max(repeats, 2 * NUM_DRAWS), warmup=NUM_DRAWS)


def fixed_step(setup: Setup, repeats: int) -> dict[str, Any]:
    """The published config, training."""
    net = network(setup, preset(setup, PRESET))
    x = neck_features(setup, net)
    ours, reference = GivenFeatures(net), in_reference_structure(net)
    differences = check_refiners(net, x, None)
    steps = {
        "ours": training_step(ours, channels_last(x)),
        "reference": training_step(reference, x),
    }
    return {"difference": differences, **compare(steps, setup, repeats)}


def inference_heads(setup: Setup, repeats: int) -> dict[str, Any]:
    """Deployed form (BatchNorm folded), heads alone."""
    image = torch.rand(setup.batch, 3, *setup.image_size).to(setup.device, setup.dtype)
    nets = deployed(setup, image)
    x = channels_last(neck_features(setup, nets[0]))
    steps = {name: forward_step(GivenFeatures(net), x) for name, net in zip(("fixed", "baseline"), nets, strict=True)}
    return compare(steps, setup, 4 * repeats)


def inference_network(setup: Setup, repeats: int) -> dict[str, Any]:
    """Deployed form (BatchNorm folded), with backbone and final resize."""
    image = torch.rand(setup.batch, 3, *setup.image_size).to(setup.device, setup.dtype)
    nets = deployed(setup, image)
    steps = {name: forward_step(net, image) for name, net in zip(("fixed", "baseline"), nets, strict=True)}
    return compare(steps, setup, 4 * repeats)


def inference_large(setup: Setup, repeats: int) -> dict[str, Any]:
    """As :func:`inference_heads`, on one image of 480x640."""
    return inference_heads(replace(setup, batch=1, image_size=LARGE), max(repeats // 4, 1))


def deployed(setup: Setup, image: Tensor) -> list[MultiTaskNet]:
    """The published config and the baseline, BatchNorm with statistics and then folded."""
    nets = [network(setup, preset(setup, name)) for name in (PRESET, "baseline")]
    return [fold_batch_norm(give_statistics(net, image)) for net in nets]


def local_alone(setup: Setup, repeats: int) -> dict[str, Any]:
    """Windowed attention without projections; ``copy`` reads and writes each of its tensors once."""
    generator = torch.Generator().manual_seed(2)
    shape = (setup.batch, LOCAL_WIDTH, *LOCAL_SIZE)
    maps = [torch.randn(shape, generator=generator).to(setup.device, setup.dtype) for _ in range(4)]
    with torch.no_grad():
        found, plain = window_attention(*maps[:3], heads=1), unfolded_attention(*maps[:3])
    difference = require({"local": found}, {"local": plain}, tolerance=1e-5)
    laid_out = [channels_last(y) for y in maps]

    def attend(attention: Callable[..., Tensor], tensors: list[Tensor]) -> Step:
        leaves = [y.detach().requires_grad_() for y in tensors[:3]]

        def step(turn: int) -> None:
            for leaf in leaves:
                leaf.grad = None
            attention(*leaves).backward(tensors[3])

        return step

    steps = {
        "ours": attend(lambda q, k, v: window_attention(q, k, v, heads=1), laid_out),
        "unfolded": attend(unfolded_attention, maps),
    }
    result = compare(steps, setup, repeats)
    room = [torch.empty_like(y) for y in maps]
    copies = interleaved({"copy": lambda turn: [a.copy_(b) for a, b in zip(room, maps, strict=True)]}, setup.device, 9)
    result["copy_s"] = copies["copy"]["median_s"]
    # q, k, v and the output's gradient are read; the output and three gradients are written: what four copies move.
    result["over_copy"] = result["sides"]["ours"]["median_s"] / result["copy_s"]
    return {"difference": {"float32": difference}, **result}


def forward_step(module: nn.Module, x: Tensor) -> Step:
    """Inference."""
    return inference(lambda: module(x))


def channels_last(x: Tensor) -> Tensor:
    """A leaf of the same values, in the layout our networks run in."""
    return x.detach().to(memory_format=torch.channels_last).requires_grad_(x.requires_grad)


_BOTH = ("cpu", "cuda")
ROWS = {
    "soft": Row("soft search step / reference structure", {d: {"time": 0.25, "memory": 0.4} for d in _BOTH}, soft_step),
    "sampled": Row("sampled search step / step of the fixed network", {d: {"time": 1.3} for d in _BOTH}, sampled_step),
    "fixed": Row(
        "fixed network, published config / reference structure", {d: {"time": 0.6} for d in _BOTH}, fixed_step
    ),
    "inference_network": Row(
        "inference, fixed network / multi-task baseline, with backbone",
        {"cpu": {"time": 1.6}, "cuda": {"time": 1.25}},
        inference_network,
    ),
    "inference_heads": Row(
        "inference, fixed network / multi-task baseline, heads alone",
        {"cpu": {"time": 1.6}, "cuda": {"time": 1.25}},
        inference_heads,
    ),
    "inference_large": Row(
        "inference at 480x640, fixed network / multi-task baseline, heads alone",
        {"cpu": {"time": 1.6}, "cuda": {"time": 1.25}},
        inference_large,
    ),
    "local": Row(
        "local 9x9 alone, 107x140, d = 33 / unfolded", {"cpu": {"time": 0.05}, "cuda": {"time": 0.1}}, local_alone
    ),
} | {
    f"deployed_{config}_{height}": Row(
        f"ONNX Runtime, 1 thread, {height}x{width}, {words} / multi-task baseline",
        {"cpu": {"time": 1.25} if config == PRESET else {}, "cuda": {}},
        against_baseline(config, (height, width)),
    )
    for height, width in (SMALL, LARGE)
    for config, words in CONFIGS.items()
}
