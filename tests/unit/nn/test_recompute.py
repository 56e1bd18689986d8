"""Activation checkpointing: the same numbers from fewer kept bytes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from atrcnas.nn.mixture import Mixture
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.pairs import all_pairs

TASKS, WIDTH, NUM_LABELS = ("a", "b", "c"), 8, 5
KINDS_ALL = tuple(kind.name for kind in KINDS)


def refiner_and_mixture(kinds: tuple[str, ...]) -> tuple[ContextRefiner, Mixture | None]:
    pools = {
        pair: tuple(kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal) or (NONE,)
        for pair in all_pairs(TASKS, (4,))
    }
    torch.manual_seed(0)
    refiner = ContextRefiner(pools, WIDTH, dropout=0.5).double()
    with torch.no_grad():
        for fuse in refiner.fuse.values():
            fuse.project.norm.weight.uniform_(0.5, 1.5)
    if not refiner.searching:
        return refiner, None
    even = {pair: {kind: 1 / len(pool) for kind in pool} for pair, pool in pools.items()}
    return refiner, Mixture.from_weights(even, torch.float64)


def step(refiner: ContextRefiner, mixture: Mixture | None) -> tuple[dict[str, Tensor], int]:
    """Gradients and statistics after one step, and the bytes kept for its backward pass."""
    generator = torch.Generator().manual_seed(1)
    features, labels = (
        {task: torch.randn(2, channels, 16, 16, generator=generator).double().requires_grad_() for task in TASKS}
        for channels in (WIDTH, NUM_LABELS)
    )
    if mixture is not None:
        mixture = Mixture(mixture.pairs, mixture.kinds, mixture.weights.clone().requires_grad_(), mixture.active)
    kept: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        kept.setdefault(x.untyped_storage().data_ptr(), x.detach())
        return x

    torch.manual_seed(2)  # of the dropout
    with saved_tensors_hooks(pack, lambda x: x):
        maps = refiner(features, labels, None, mixture)
    torch.autograd.backward(list(maps.values()), [x.detach().cos() for x in maps.values()])
    found = {name: p.grad for name, p in refiner.named_parameters() if p.grad is not None} | dict(maps)
    found |= {f"features.{task}": x.grad for task, x in features.items()}
    found |= {f"labels.{task}": x.grad for task, x in labels.items() if x.grad is not None}
    found |= {name: b for name, b in refiner.named_buffers() if b is not None}
    if mixture is not None:
        found["mixture"] = mixture.weights.grad
    return found, sum(x.untyped_storage().nbytes() for x in kept.values())


@pytest.mark.parametrize("kinds", [KINDS_ALL, *((name,) for name in KINDS_ALL if name != NONE)], ids="+".join)
def test_gradients_and_statistics_are_the_same_and_less_is_kept(kinds: tuple[str, ...]) -> None:
    refiner, mixture = refiner_and_mixture(kinds)
    again = copy.deepcopy(refiner)
    again.recompute = True
    expected, kept_before = step(refiner, mixture)
    found, kept = step(again, mixture)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0.0, atol=1e-12, msg=name)
    assert kept < 0.75 * kept_before, f"{kept} of {kept_before} bytes"
