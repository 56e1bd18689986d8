"""The cost of a step in operators, sizes and bytes; what only a clock can tell is in `analysis.bench`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from analysis.bench.counting import Watch, saved_bytes, watched
from analysis.bench.heads import GivenFeatures, Setup, in_reference_structure, neck_features, network
from analysis.bench.reference import reference_of, unfolded_attention
from atrcnas.nn.blocks import PairConv
from atrcnas.nn.contexts.local import KERNEL
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.relations import ContextRefiner
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.space import SearchSpace

TASKS = ("a", "b", "c", "d", "e")
WIDTH, NUM_LABELS = 8, 5
SIZE = (24, 32)
PIXELS = SIZE[0] * SIZE[1]
COMPUTED = [kind.name for kind in KINDS if kind.module is not None]
ATTENTION = [name for name in COMPUTED if name != "mti"]
Pools = Mapping[Pair, tuple[str, ...]]


def inputs(batch: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> Tensor:
        return torch.randn(batch, channels, *SIZE, generator=generator).requires_grad_()

    return {task: draw(WIDTH) for task in TASKS}, {task: draw(NUM_LABELS) for task in TASKS}


def uniform(kinds: tuple[str, ...], num_tasks: int) -> Pools:
    return {
        pair: tuple(kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal) or (NONE,)
        for pair in all_pairs(TASKS[:num_tasks], (4,))
    }


def even(pools: Pools) -> Mixture | None:
    """All candidates at once; None for a fixed network."""
    if all(len(pool) == 1 for pool in pools.values()):
        return None
    return Mixture.from_weights({pair: {kind: 1 / len(pool) for kind in pool} for pair, pool in pools.items()})


def step_of(refiner: nn.Module, mixture: Mixture | None) -> Watch:
    features, labels = inputs()
    return watched(lambda: refiner(features, labels, None, mixture).values())


# Operators.


def pairs_of_one_target(kind: str, num_sources: int) -> Pools:
    """Target `b` has every source, target `a` the first few: the sources' own keys and values are needed anyway."""
    return {Pair("b", s): (kind,) for s in TASKS[2:]} | {Pair("a", s): (kind,) for s in TASKS[2 : 2 + num_sources]}


@pytest.mark.parametrize("kind", COMPUTED)
def test_a_further_pair_of_a_target_costs_no_further_convolution(kind: str) -> None:
    refiners = [ContextRefiner(pairs_of_one_target(kind, n), WIDTH) for n in (1, 2, 3)]
    counts = [len(step_of(refiner, None).convolutions) for refiner in refiners]
    assert counts[0] == counts[1] == counts[2], f"{counts} convolutions for 1, 2 and 3 pairs"


def test_the_reference_structure_pays_for_each_pair() -> None:
    """What the test above would say of it."""
    refiners = [reference_of(ContextRefiner(pairs_of_one_target("global", n), WIDTH)) for n in (1, 2, 3)]
    counts = [len(step_of(refiner, None).convolutions) for refiner in refiners]
    assert counts[1] - counts[0] == counts[2] - counts[1] == 2 * 5


def test_convolutions_of_a_soft_step_are_linear_in_tasks() -> None:
    counts = []
    for num_tasks in (2, 3, 4, 5):
        pools = uniform((NONE, *COMPUTED), num_tasks)
        counts.append(len(step_of(ContextRefiner(pools, WIDTH), even(pools)).convolutions))
    more = [after - before for before, after in itertools.pairwise(counts)]
    assert len(set(more)) == 1, f"{counts} convolutions for 2 to 5 tasks"


# Sizes.


@pytest.mark.parametrize("kinds", [(NONE,), ()], ids=["searching", "fixed"])
@pytest.mark.parametrize("kind", COMPUTED)
def test_nothing_as_large_as_81_values_for_each_pixel_is_ever_made(kind: str, kinds: tuple[str, ...]) -> None:
    """Nor, then, N x N: the image has more than 81 pixels."""
    pools = {Pair("a", "b"): (*kinds, kind)}
    elements, operator = step_of(ContextRefiner(pools, WIDTH), even(pools)).largest
    assert elements < KERNEL**2 * PIXELS <= PIXELS**2, f"{operator} made {elements / PIXELS:.0f} values for each pixel"


def test_the_watch_sees_windows_and_quadratic_maps() -> None:
    """What the test above would say of them."""
    maps = [torch.randn(1, 4, *SIZE, requires_grad=True) for _ in range(3)]
    assert watched(lambda: [unfolded_attention(*maps)]).largest[0] >= KERNEL**2 * PIXELS
    column = torch.randn(PIXELS, 1, requires_grad=True)
    assert watched(lambda: [(column @ column.T).softmax(1)]).largest[0] >= PIXELS**2


# Bytes.


def test_a_soft_step_keeps_at_most_two_fifths_of_what_the_reference_structure_keeps() -> None:
    setup = Setup(image_size=(128, 160), batch=1, backbone="mobilenetv3_small_050", width=32, num_classes=40)
    pools = SearchSpace.load("atrc").pools(setup.tasks)
    net = network(setup, pools)
    x, mixture = neck_features(setup, net), Sampler(pools).draw(0, 0.7)
    ours, reference = GivenFeatures(net), in_reference_structure(net)
    kept = [saved_bytes(heads, lambda heads=heads: heads(x, mixture)) for heads in (ours, reference)]
    assert 0 < kept[0] <= 0.4 * kept[1], f"{kept[0] / 2**20:.1f} of {kept[1] / 2**20:.1f} MiB"


def kept_bytes(refiner: nn.Module, mixture: Mixture | None) -> int:
    features, labels = inputs()
    return saved_bytes(refiner, lambda: refiner(features, labels, None, mixture))


@pytest.mark.parametrize("kinds", [(NONE, *COMPUTED), *((kind,) for kind in COMPUTED)], ids="+".join)
def test_kept_bytes_are_linear_in_pairs(kinds: tuple[str, ...]) -> None:
    for_each_pair = []
    for num_tasks in (2, 4, 5):
        pools = uniform(kinds, num_tasks)
        num_pairs = sum(pool != (NONE,) for pool in pools.values())
        for_each_pair.append(kept_bytes(ContextRefiner(pools, WIDTH), even(pools)) / num_pairs)
    assert for_each_pair[0] >= for_each_pair[1] >= for_each_pair[2] > 0


# Pairs that have committed.


def committed(pools: Pools, choice: Mapping[Pair, str]) -> Mixture:
    """The soft mixture once the pairs of ``choice`` have committed and the host has seen it."""
    sampler = Sampler(pools, commit_gap=0.3)
    with torch.no_grad():
        for pair, kind in choice.items():
            sampler.logits[sampler.pairs.index(pair), sampler.kinds.index(kind)] = 5.0
    sampler.commit()
    sampler.refresh()
    return sampler.draw(0, 1.0)


def rows_computed(refiner: ContextRefiner, mixture: Mixture) -> set[tuple[str, Pair]]:
    """Which kinds of which pairs some stacked convolution was run for."""
    found: set[tuple[str, Pair]] = set()
    owners = {
        layer: (name.removesuffix("_"), context.pairs)
        for name, context in refiner.contexts.items()
        for layer in context.modules()
    }
    real = PairConv.convolve

    def convolve(layer: PairConv, x: Tensor, rows: tuple[int, ...], grouped: bool) -> Tensor:
        kind, pairs = owners[layer]
        found.update((kind, pairs[row]) for row in rows)
        return real(layer, x, rows, grouped)

    features, labels = inputs()
    with patch.object(PairConv, "convolve", convolve):
        refiner(features, labels, None, mixture)
    return found


def test_other_candidates_of_a_committed_pair_are_not_computed() -> None:
    pools = uniform((NONE, *ATTENTION), 3)
    settled = {Pair("a", "b"): "local", Pair("a", "c"): NONE, Pair("b", "b"): "tlabel"}
    found = rows_computed(ContextRefiner(pools, WIDTH), committed(pools, settled))
    for pair, pool in pools.items():
        expected = {settled[pair]} if pair in settled else set(pool)
        assert {kind for kind, computed in found if computed == pair} == expected - {NONE}, pair


def test_a_supernet_whose_pairs_have_all_committed_convolves_as_the_fixed_network() -> None:
    pools = uniform((NONE, *COMPUTED), 3)
    choice = dict(zip(pools, [*ATTENTION, *ATTENTION, *ATTENTION], strict=False))
    choice = {pair: kind if kind in pools[pair] else "local" for pair, kind in choice.items()}
    found = step_of(ContextRefiner(pools, WIDTH), committed(pools, choice))
    fixed = step_of(ContextRefiner({pair: (kind,) for pair, kind in choice.items()}, WIDTH), None)
    assert sorted(found.convolutions) == sorted(fixed.convolutions)
    assert found.largest[0] <= fixed.largest[0]
