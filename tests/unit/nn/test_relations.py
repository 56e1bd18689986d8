"""The refiner: the supernet and the fixed network are one model; what it refuses; what a step costs."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.nn.atrc_weights import load_refiner
from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.relations import ContextRefiner, label_tasks
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.pairs import Pair, all_pairs

TASKS = ("a", "b", "c")
NUM_LABELS = {"a": 5, "b": 3, "c": 5, "d": 5}
WIDTH = 8
EXACT = {"rtol": 0.0, "atol": 1e-12}
Pools = dict[Pair, tuple[str, ...]]


def fitting(pair: Pair) -> list[str]:
    return [kind.name for kind in KINDS if kind.on_diagonal or not pair.on_diagonal]


def full(tasks: tuple[str, ...] = TASKS) -> Pools:
    return {pair: tuple(fitting(pair)) for pair in all_pairs(tasks, (4,))}


def uniform(kind: str, tasks: tuple[str, ...] = TASKS, sources: tuple[str, ...] | None = None) -> Pools:
    pairs = all_pairs(tasks, (4,), sources)
    return {pair: (kind if kind in fitting(pair) else NONE,) for pair in pairs}


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> None:
    """In particular the fuse's BatchNorm, which starts at zero and would hide every context."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(0.5 + values if name.endswith("var") else values - 0.4)


def tensors(tasks: tuple[str, ...] = TASKS, seed: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int) -> Tensor:
        return torch.randn(2, channels, 9, 10, generator=generator, dtype=torch.float64)

    return {task: draw(WIDTH) for task in tasks}, {task: draw(NUM_LABELS[task]) for task in tasks}


def random_pools(rng: random.Random) -> Pools:
    """Pools of one to all kinds; at least one pair with several."""
    pools = {pair: tuple(rng.sample(fitting(pair), rng.randint(1, len(fitting(pair))))) for pair in full()}
    pools[Pair("b", "a")] = ("mti", NONE, "global")
    return pools


def random_choice(pools: Pools, rng: random.Random) -> dict[Pair, str]:
    """One kind per pair, some source for each target where its pools allow it."""
    chosen = {pair: rng.choice(pool) for pair, pool in pools.items()}
    for target in TASKS:
        some = [p for p, pool in pools.items() if p.target == target and set(pool) - {NONE}]
        if some and all(chosen[pair] == NONE for pair in some):
            chosen[some[0]] = next(kind for kind in pools[some[0]] if kind != NONE)
    return chosen


@torch.no_grad()
def copy_chosen(fixed: ContextRefiner, supernet: ContextRefiner) -> None:
    """Rows of the chosen pairs; of the fuse's projection the columns of the pairs that have a kind."""
    for name, context in fixed.contexts.items():
        giver = supernet.contexts[name]
        given = giver.state_dict()
        for key, ours in context.state_dict().items():
            if key not in given:
                assert key.startswith("value.") and key.endswith((".scale", ".shift"))
                continue  # stays the identity
            share = len(given[key]) // len(giver.pairs)
            for row, pair in enumerate(context.pairs):
                theirs = giver.pairs.index(pair)
                ours[row * share : (row + 1) * share] = given[key][theirs * share : (theirs + 1) * share]
    for target, fuse in fixed.fuse.items():
        giver, given = supernet.fuse[target], supernet.fuse[target].state_dict()
        for key, ours in fuse.state_dict().items():
            if key == "project.0.weight":
                d = fixed.hidden
                columns = [giver.pairs.index(pair) for pair in fuse.pairs]
                ours.copy_(torch.cat([given[key][:, c * d : (c + 1) * d] for c in columns], dim=1))
            else:
                ours.copy_(given[key])


# What it refuses.


def test_two_kinds_together_are_not_a_candidate() -> None:
    with pytest.raises(ConfigError, match=r"a<-b.*'local\+mti' is an answer of a search"):
        ContextRefiner({Pair("a", "b"): ("local+mti", NONE)}, WIDTH)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({Pair("a", "b"): "local"}, r"'a<-b': expected a tuple of kinds, got the text 'local'. Write \('local',\)."),
        ({"a<-b": ("local",)}, r"expected a Pair for each pool, got 'a<-b'. Use Pair.parse"),
    ],
)
def test_candidates_of_another_form_are_refused(candidates: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ContextRefiner(candidates, WIDTH)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": WIDTH, "dropout": 1.0}, {"width": WIDTH, "dropout": -0.1}])
def test_a_width_or_dropout_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"expected width of at least 1 and dropout in \[0, 1\)"):
        ContextRefiner({Pair("a", "b"): ("local",)}, **wrong)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(2, 8, 9, 10), "features: expected a mapping from task to map, got Tensor"),
        ({"a": torch.zeros(2, 8, 9, 10)}, r"features: expected maps of \['b'\] too, got \['a'\]"),
        ({"a": torch.zeros(2, 6, 9, 10)}, r"features of 'a': expected \[B, 8, H, W\] float, got \[2, 6, 9, 10\]"),
        ({"a": torch.zeros(2, 8, 9)}, r"features of 'a': expected \[B, 8, H, W\] float, got \[2, 8, 9\]"),
        ({"a": torch.zeros(2, 8, 9, 10).long()}, r"float, got \[2, 8, 9, 10\] of torch.int64"),
        ({"b": torch.zeros(2, 8, 9, 11)}, r"features of 'b': expected \[2, 8, 9, 10\] float, got \[2, 8, 9, 11\]"),
        ({"b": torch.zeros(1, 8, 9, 10)}, r"features of 'b': expected \[2, 8, 9, 10\] float, got \[1, 8, 9, 10\]"),
        ({"b": "map"}, "features of 'b': expected .* got str"),
    ],
)
def test_features_of_another_form_are_named(features: Any, message: str) -> None:
    refiner = ContextRefiner({Pair("a", "b"): ("local",)}, WIDTH)
    right = {task: torch.zeros(2, 8, 9, 10) for task in "ab"}
    refiner(right)
    if isinstance(features, dict) and "too" not in message:
        features = {**right, **features}
    with pytest.raises(ConfigError, match=message):
        refiner(features)


@pytest.mark.parametrize(
    ("labels", "valid", "message"),
    [
        (torch.zeros(2, 3, 9, 11), None, r"labels of 'a': expected \[2, K, 9, 10\] float, got \[2, 3, 9, 11\]"),
        (
            torch.zeros(2, 3, 9, 10),
            torch.ones(2, 1, 9, 10),
            r"valid: expected \[2, 1, 9, 10\] torch.bool, got .* of torch.float32",
        ),
        (torch.zeros(2, 3, 9, 10), torch.ones(2, 1, 4, 10).bool(), r"valid: expected \[2, 1, 9, 10\] torch.bool, got"),
    ],
)
def test_labels_and_masks_of_another_form_are_named(labels: Tensor, valid: Tensor | None, message: str) -> None:
    refiner = ContextRefiner({Pair("a", "b"): ("tlabel",)}, WIDTH)
    with pytest.raises(ConfigError, match=message):
        refiner({task: torch.zeros(2, 8, 9, 10) for task in "ab"}, {"a": labels}, valid)


def test_a_mixture_of_other_pools_is_refused() -> None:
    refiner = ContextRefiner({Pair("a", "b"): ("local", "global")}, WIDTH)
    features = {task: torch.zeros(2, 8, 9, 10) for task in "ab"}
    with pytest.raises(ConfigError, match="mixture: expected weights for 'a<-b', got none"):
        refiner(features, mixture=Mixture.one_hot({Pair("b", "a"): "local"}))
    with pytest.raises(ConfigError, match=r"mixture: 'a<-b' is given 'mti', .* \(it has local, global\)"):
        refiner(features, mixture=Mixture.one_hot({Pair("a", "b"): "mti"}))


def test_supernet_without_a_mixture_is_refused() -> None:
    with pytest.raises(ConfigError, match="mixture"):
        ContextRefiner(full(), WIDTH).double()(*tensors())


@pytest.mark.parametrize("kind", ["tlabel", "slabel"])
def test_missing_label_logits_are_named(kind: str) -> None:
    refiner = ContextRefiner({Pair("a", "b"): (kind,)}, WIDTH).double()
    features, labels = tensors(("a", "b"))
    needed = "a" if kind == "tlabel" else "b"
    assert refiner.label_tasks == (needed,)
    with pytest.raises(ConfigError, match=rf"\['{needed}'\]"):
        refiner(features)
    with pytest.raises(ConfigError, match="labels"):
        refiner(features, {task: x for task, x in labels.items() if task != needed})
    refiner(features, {needed: labels[needed]})


def test_labels_are_not_needed_where_the_mixture_uses_none() -> None:
    pools = full()
    refiner = ContextRefiner(pools, WIDTH).double()
    features, _ = tensors()
    refiner(features, mixture=Mixture.one_hot(dict.fromkeys(pools, "global")))


def test_only_the_label_maps_the_mixture_uses_are_needed() -> None:
    pools = full()
    refiner = ContextRefiner(pools, WIDTH).double()
    features, labels = tensors()
    chosen = {pair: "tlabel" if pair.target == "a" else NONE for pair in pools}
    refiner(features, {"a": labels["a"]}, mixture=Mixture.one_hot(chosen))


def test_several_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match="one level"):
        ContextRefiner({Pair("a", "b", 4): ("local",), Pair("a", "b", 8): ("local",)}, WIDTH)


def test_kind_that_does_not_fit_the_diagonal_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a<-a.*slabel.*two different"):
        ContextRefiner({Pair("a", "a"): ("slabel",)}, WIDTH)


def test_unknown_kind_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'local'"):
        ContextRefiner({Pair("a", "b"): ("locla",)}, WIDTH)


def test_empty_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a<-b.*none"):
        ContextRefiner({Pair("a", "b"): ()}, WIDTH)


def test_reference_weights_of_another_config_are_refused_by_key() -> None:
    with pytest.raises(CheckpointError, match=r"cp_blocks\.a\.b\.query_project"):
        load_refiner(ContextRefiner({Pair("a", "b"): ("local",)}, WIDTH), {})


def test_a_refiner_that_sums_takes_no_reference_weights() -> None:
    with pytest.raises(CheckpointError, match="expected fuse 'concat', got 'sum'"):
        load_refiner(ContextRefiner({Pair("a", "b"): ("local",)}, WIDTH, fuse="sum"), {})


# Shapes of the module.


def test_no_pairs_gives_nothing_to_refine() -> None:
    refiner = ContextRefiner({}, WIDTH).double()
    assert refiner(tensors()[0]) == {}
    assert not refiner.searching


@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_target_without_sources_keeps_its_own_features(fuse: str) -> None:
    features, _ = tensors()
    plain = ContextRefiner(uniform(NONE), WIDTH, fuse=fuse, refine=False).double().eval()
    assert all(torch.equal(x, features[task]) for task, x in plain(features).items())
    refined = ContextRefiner(uniform(NONE), WIDTH, fuse=fuse).double().eval()
    for task, out in refined(features).items():
        torch.testing.assert_close(out, refined.fuse[task].refine(features[task]), **EXACT)
    assert not refined.contexts


def test_source_need_not_be_a_target() -> None:
    refiner = ContextRefiner(uniform("tlabel", ("a", "b"), ("a", "b", "d")), WIDTH).double()
    features, labels = tensors(("a", "b", "d"))
    assert set(refiner(features, labels)) == {"a", "b"}


def test_pooled_width_is_half_the_features_unless_said_or_summed() -> None:
    pools = uniform("local")
    assert (ContextRefiner(pools, WIDTH).width, ContextRefiner(pools, WIDTH).hidden) == (WIDTH, WIDTH // 2)
    assert ContextRefiner(pools, 9).hidden == 4
    assert ContextRefiner(pools, 1).hidden == 1
    assert [ContextRefiner(pools, WIDTH, hidden=hidden).hidden for hidden in (1, 3)] == [1, 3]
    assert ContextRefiner(pools, WIDTH, fuse="sum").hidden == WIDTH
    assert ContextRefiner(pools, WIDTH, fuse="sum", hidden=3).hidden == WIDTH


def test_sum_adds_every_map_to_the_own_features() -> None:
    pools = uniform("mti")
    refiner = ContextRefiner(pools, WIDTH, fuse="sum", refine=False).double().eval()
    features, _ = tensors()
    context = refiner.contexts["mti_"]
    for target in TASKS:
        expected = features[target].clone()
        for row, pair in enumerate(context.pairs):
            if pair.target == target:
                gate, feature = (F.conv2d(features[pair.source], w, padding=1) for w in context.weight[row])
                expected += gate.sigmoid() * feature
        torch.testing.assert_close(refiner(features)[target], expected, **EXACT)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_label_tasks_follow_from_what_kinds_need(kind: str) -> None:
    needed = label_tasks({Pair("a", "b"): (kind,)})
    assert needed == ("a",) * KINDS[kind].needs_target_label + ("b",) * KINDS[kind].needs_source_label


def test_padding_does_not_influence_refined_features_of_valid_pixels() -> None:
    pools = full()
    refiner = ContextRefiner(pools, WIDTH).double().eval()
    randomise(refiner, 2)
    valid = torch.zeros(2, 1, 9, 10, dtype=torch.bool)
    valid[..., :6, :7] = True
    features, labels = tensors()
    cropped = [{task: x[..., :6, :7] for task, x in part.items()} for part in (features, labels)]
    mixture = Mixture.from_weights(
        {pair: {kind: 1 / len(pool) for kind in pool} for pair, pool in pools.items()}, dtype=torch.float64
    )
    out, alone = refiner(features, labels, valid, mixture), refiner(*cropped, None, mixture)
    for task in TASKS:
        torch.testing.assert_close(out[task][..., :6, :7], alone[task], **EXACT)


# Fusing, written out.


def batch_norm(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """In evaluation mode."""
    mean, var, gain, shift = (v[:, None, None] for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (x - mean) / (var + norm.eps).sqrt() * gain + shift


def project(x: Tensor, block: nn.Sequential) -> Tensor:
    """A 1x1 convolution without bias, and BatchNorm."""
    return batch_norm(torch.einsum("oc,bchw->bohw", block[0].weight[:, :, 0, 0], x), block[1])


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_maps_are_fused_as_written(fuse: str, refine: bool) -> None:
    refiner = ContextRefiner(uniform("mti"), WIDTH, fuse=fuse, refine=refine).double().eval()
    randomise(refiner, 4)
    features, _ = tensors()
    pairs = refiner.contexts["mti_"].pairs
    maps = refiner.contexts["mti_"](ContextInputs(features, {}, None), tuple(range(len(pairs))))
    refined = refiner(features)
    for target in TASKS:
        own, block = features[target], refiner.fuse[target]
        given = [pooled for pair, pooled in zip(pairs, maps, strict=True) if pair.target == target]
        if fuse == "sum":
            expected = own + torch.stack(given).sum(0)
            expected = project(expected, block.refine[0]).relu() if refine else expected
        else:
            context = project(torch.cat(given, dim=1), block.project)
            joined = torch.cat([own, context], dim=1)
            expected = project(joined, block.refine[0]).relu() if refine else own + context
        torch.testing.assert_close(refined[target], expected, **EXACT)


def test_new_fusions_start_as_published() -> None:
    """Contexts have no effect at first; dropout only where nothing is searched."""
    fixed, searching = ContextRefiner(uniform("mti"), 32), ContextRefiner(full(), 32)
    for block in fixed.fuse.values():
        assert (block.project[1].weight == 0).all()
    dropout = [[part.p for part in net.modules() if isinstance(part, nn.Dropout2d)] for net in (fixed, searching)]
    assert dropout == [[0.05] * len(TASKS), []]


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"fuse": "max"}])
def test_another_fusion_and_a_width_of_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected fuse 'concat' or 'sum' and hidden of at least 1"):
        ContextRefiner(uniform("mti"), WIDTH, **wrong)


def test_two_kinds_for_one_pair_make_a_search() -> None:
    pools = {**uniform("mti"), Pair("a", "b"): ("mti", NONE)}
    with pytest.raises(ConfigError, match="Pass mixture="):
        ContextRefiner(pools, WIDTH).double()(tensors()[0])


# The supernet and the fixed network.


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_one_hot_mixture_equals_the_fixed_network(seed: int, fuse: str) -> None:
    rng = random.Random(seed)
    pools = random_pools(rng)
    chosen = random_choice(pools, rng)
    refine = rng.random() < 0.7
    supernet = ContextRefiner(pools, WIDTH, fuse=fuse, refine=refine).double().eval()
    fixed = ContextRefiner({p: (k,) for p, k in chosen.items()}, WIDTH, fuse=fuse, refine=refine).double().eval()
    assert supernet.searching
    assert not fixed.searching
    randomise(supernet, seed)
    copy_chosen(fixed, supernet)
    features, labels = tensors(seed=seed)
    out = supernet(features, labels, mixture=Mixture.one_hot(chosen))
    expected = fixed(features, labels)
    for target in TASKS:
        if any(chosen[p] != NONE for p in pools if p.target == target) or fuse == "sum":
            torch.testing.assert_close(out[target], expected[target], **EXACT)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_a_fixed_refiner_inherits_the_supernets_weights(seed: int, fuse: str) -> None:
    rng = random.Random(seed)
    pools = random_pools(rng)
    chosen = random_choice(pools, rng)
    supernet, fixed, expected = (
        ContextRefiner(kinds, WIDTH, fuse=fuse).double()
        for kinds in (pools, *[{p: (k,) for p, k in chosen.items()}] * 2)
    )
    randomise(supernet, seed)
    expected.load_state_dict(fixed.state_dict())
    whole = {target for target in TASKS if fuse == "sum" or any(chosen[p] != NONE for p in pools if p.target == target)}
    for target in set(TASKS) - whole:  # nothing but its own features is left
        del expected.fuse[target], fixed.fuse[target]
    copy_chosen(expected, supernet)
    fixed.inherit(supernet)
    assert fixed.state_dict().keys() == expected.state_dict().keys()
    for key, value in fixed.state_dict().items():
        assert torch.equal(value, expected.state_dict()[key]), key


def test_a_target_that_pools_nothing_starts_as_the_supernet_left_it() -> None:
    """Its last layer reads own features alone, the supernet's also the constant that a projection of nothing makes."""
    pools = {pair: (NONE, "local", "global") for pair in all_pairs(TASKS, [4])}
    supernet = ContextRefiner(pools, WIDTH).double()
    randomise(supernet, 3)
    chosen = {pair: NONE if pair.target == TASKS[0] else "local" for pair in pools}
    fixed = ContextRefiner({pair: (kind,) for pair, kind in chosen.items()}, WIDTH).double()
    fixed.inherit(supernet)
    features = {task: torch.randn(2, WIDTH, 6, 9, dtype=torch.float64) for task in TASKS}
    found = fixed.eval()(features)
    for task, expected in supernet.eval()(features, mixture=Mixture.one_hot(chosen)).items():
        torch.testing.assert_close(found[task], expected)


def test_only_a_supernet_of_the_same_form_with_the_chosen_kinds_is_inherited_from() -> None:
    pools = {Pair("a", "b"): ("local", "global")}
    fixed = ContextRefiner({Pair("a", "b"): ("mti",)}, WIDTH)
    with pytest.raises(
        CheckpointError, match=r"'a<-b' is 'mti', which the supernet does not hold \(it has local, global\)"
    ):
        fixed.inherit(ContextRefiner(pools, WIDTH))
    fixed = ContextRefiner({Pair("a", "b"): ("local",)}, WIDTH)
    for other in ({"width": 9}, {"width": WIDTH, "fuse": "sum"}, {"width": WIDTH, "refine": False}):
        with pytest.raises(CheckpointError, match=r"expected a supernet with .*Build both with the same arguments"):
            fixed.inherit(ContextRefiner(pools, **other))


def test_a_kind_that_does_not_stack_its_tensors_has_to_say_how_it_inherits() -> None:
    class Apart(Context):
        def __init__(self, pairs: Any, *others: Any) -> None:
            super().__init__(pairs, *others)
            self.project = nn.ModuleList(nn.Conv2d(WIDTH, 4, 1) for _ in pairs)

    pairs = [Pair("a", "b"), Pair("b", "a"), Pair("a", "a")]
    supernet, fixed = (Apart(which, WIDTH, 4, False) for which in (pairs, pairs[1:2]))
    with pytest.raises(
        CheckpointError, match=r"Apart.project.0.weight: expected \[4, 8, 1, 1\] of 1 pairs stacked, got"
    ):
        fixed.inherit(supernet)


@pytest.mark.parametrize("seed", range(4))
def test_candidates_of_weight_zero_do_not_matter_whether_computed_or_not(seed: int) -> None:
    rng = random.Random(seed)
    pools = full()
    supernet = ContextRefiner(pools, WIDTH).double().eval()
    randomise(supernet, seed)
    lean = Mixture.one_hot(random_choice(pools, rng))
    computed = tuple(frozenset(pool) & frozenset(lean.kinds) for pool in pools.values())
    whole = Mixture(lean.pairs, lean.kinds, lean.weights, computed)
    features, labels = tensors()
    a, b = (supernet(features, labels, mixture=mixture) for mixture in (lean, whole))
    for target in TASKS:
        torch.testing.assert_close(a[target], b[target], **EXACT)


def test_mixture_is_linear_in_the_maps() -> None:
    pools = {Pair("a", "b"): ("global", "local", "mti"), Pair("a", "a"): (NONE,)}
    supernet = ContextRefiner(pools, WIDTH, fuse="sum", refine=False).double().eval()
    randomise(supernet, 5)
    features, labels = tensors(("a", "b"))

    def context(**weights: float) -> Tensor:
        mixture = Mixture.from_weights({Pair("a", "b"): weights, Pair("a", "a"): {NONE: 1.0}}, dtype=torch.float64)
        return supernet(features, labels, mixture=mixture)["a"] - features["a"]

    parts = 0.2 * context(**{"global": 1.0}) + 0.5 * context(local=1.0) + 0.3 * context(mti=1.0)
    torch.testing.assert_close(context(**{"global": 0.2, "local": 0.5, "mti": 0.3}), parts, **EXACT)


def test_several_mixtures_at_once_give_what_each_gives_and_pool_what_they_share_once() -> None:
    rng = random.Random(3)
    pools = full()
    first = random_choice(pools, rng)
    second = {pair: kind if place % 2 else rng.choice(pools[pair]) for place, (pair, kind) in enumerate(first.items())}
    refiner = ContextRefiner(pools, WIDTH).double().train()
    randomise(refiner, 5)
    features, labels = tensors()
    mixtures = [Mixture.one_hot(chosen) for chosen in (first, second)]
    mixtures = [replace(mixture, weights=mixture.weights.double()) for mixture in mixtures]
    alone = [refiner(features, labels, None, mixture) for mixture in mixtures]
    pooled = Counter[tuple[Pair, str]]()
    for name, context in refiner.contexts.items():
        kind = name.removesuffix("_")

        def count(module: nn.Module, given: tuple[Any, ...], kind: str = kind) -> None:
            pooled.update((module.pairs[row], kind) for row in given[1])

        context.register_forward_pre_hook(count)
    together = refiner.refine_each(features, labels, None, mixtures)
    for one, other in zip(alone, together, strict=True):
        for task in TASKS:
            torch.testing.assert_close(one[task], other[task], **EXACT)
    used = {(pair, kind) for chosen in (first, second) for pair, kind in chosen.items() if kind != NONE}
    assert pooled == dict.fromkeys(used, 1)
    assert any(kind == second[pair] != NONE for pair, kind in first.items()), "the draws share nothing"


def test_weights_of_the_mixture_get_gradients() -> None:
    pools = full()
    supernet = ContextRefiner(pools, WIDTH).train()
    randomise(supernet, 0)
    sampler = Sampler(pools)
    features, labels = ({task: x.float() for task, x in part.items()} for part in tensors())
    out = supernet(features, labels, mixture=sampler.draw(0, 1.0))
    sum(x.square().mean() for x in out.values()).backward()
    assert (sampler.logits.grad.abs().amax(1) > 0).all()
    assert (sampler.logits.grad.masked_select(~sampler.pool) == 0).all()


def test_new_refiner_passes_no_context_yet() -> None:
    """The fuse's BatchNorm starts at zero, so that a pretrained network is not disturbed at first."""
    refiner = ContextRefiner(uniform("global"), WIDTH, refine=False).double().train()
    features, labels = tensors()
    for task, out in refiner(features, labels).items():
        torch.testing.assert_close(out, features[task], **EXACT)


def test_dropout_is_in_the_fixed_network_only() -> None:
    def dropouts(pools: Pools, dropout: float) -> int:
        refiner = ContextRefiner(pools, WIDTH, dropout=dropout)
        return sum(isinstance(module, nn.Dropout2d) for module in refiner.modules())

    assert dropouts(full(), 0.05) == 0
    assert dropouts(uniform("local"), 0.05) == len(TASKS)
    assert dropouts(uniform("local"), 0.0) == 0


@pytest.mark.parametrize("fuse", ["concat", "sum"])
def test_two_kinds_together_are_the_mean_of_their_maps(fuse: str) -> None:
    pools = {Pair("a", "b"): ("slabel", "local", NONE), Pair("a", "a"): ("global",)}
    both = {Pair("a", "b"): ("slabel+local",), Pair("a", "a"): ("global",)}
    supernet, fixed = (ContextRefiner(given, WIDTH, fuse=fuse).double().eval() for given in (pools, both))
    assert supernet.searching
    assert not fixed.searching
    assert fixed.label_tasks == ("b",)
    randomise(supernet, 3)
    copy_chosen(fixed, supernet)
    features, labels = tensors(("a", "b"))
    even = {Pair("a", "b"): {"slabel": 0.5, "local": 0.5}, Pair("a", "a"): {"global": 1.0}}
    out = supernet(features, labels, mixture=Mixture.from_weights(even, torch.float64))
    torch.testing.assert_close(fixed(features, labels)["a"], out["a"], **EXACT)
    out = supernet(features, labels, mixture=Mixture.one_hot({pair: kinds[0] for pair, kinds in both.items()}))
    torch.testing.assert_close(fixed(features, labels)["a"], out["a"], **EXACT)


# Cost: projections are shared by the pairs of a task, which is what makes the search fast.


def convolutions(monkeypatch: pytest.MonkeyPatch, kind: str, targets: tuple[str, ...], sources: tuple[str, ...]) -> int:
    refiner = ContextRefiner(uniform(kind, targets, sources), WIDTH).double()
    features, labels = tensors(("a", "b", "c", "d"))
    labels = {task: logits[:, :3] for task, logits in labels.items()}
    calls: list[int] = []
    real = F.conv2d
    with monkeypatch.context() as patch:
        patch.setattr(F, "conv2d", lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
        refiner(features, labels)
    return len(calls) - 2 * len(targets)  # those of fuse and refine


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.module is not None])
def test_convolutions_grow_with_tasks_not_with_pairs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = ("a", "b", "c", "d")
    counts = [convolutions(monkeypatch, kind, tasks[:n], tasks[:n]) for n in (2, 3, 4)]
    assert counts[2] - counts[1] <= counts[1] - counts[0], f"{counts} convolutions for 2, 3 and 4 tasks"
    assert counts[2] <= 3 * len(tasks) + 3


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.module is not None])
def test_queries_of_one_target_are_one_convolution(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more source costs at most its own key and value; one more target with the same sources its own query."""
    few = convolutions(monkeypatch, kind, ("a",), ("b", "c"))
    assert convolutions(monkeypatch, kind, ("a",), ("b", "c", "d")) - few <= 2
    assert convolutions(monkeypatch, kind, ("a", "d"), ("b", "c")) - few <= 1
