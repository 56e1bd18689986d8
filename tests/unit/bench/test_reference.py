"""The reference structure computes what ours does, forward and backward, and its state is the published one's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from analysis.bench.equality import check_refiners, require
from analysis.bench.heads import GivenFeatures, Setup, in_reference_structure, neck_features, network
from analysis.bench.reference import correspondence, reference_of, unfolded_attention
from atrcnas.nn.atrc_weights import load_refiner
from atrcnas.nn.contexts.local import window_attention
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import NONE
from atrcnas.spec.space import SearchSpace

SETUP = Setup(image_size=(20, 44), dtype=torch.float64, backbone="mobilenetv3_small_050", width=8, num_classes=5)
EXACT = {"rtol": 1e-9, "atol": 1e-9}
CASES = ("soft", "atrc-nyud-hrnet18", "uniform-local", "uniform-global", "baseline")


def case(name: str) -> tuple[GivenFeatures, GivenFeatures, Mixture | None, Tensor]:
    if name == "soft":
        pools = SearchSpace.load("atrc").pools(SETUP.tasks)
        with torch.no_grad():
            mixture = Sampler(pools, seed=2).double().draw(0, 0.7)
    else:
        pools = {pair: (kind,) for pair, kind in ContextConfig.load(name).kinds(SETUP.tasks).items()}
        mixture = None
    net = network(SETUP, pools)
    return GivenFeatures(net), in_reference_structure(net), mixture, neck_features(SETUP, net)


def backward(heads: GivenFeatures, x: Tensor, mixture: Mixture | None) -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(3)  # of the dropout
    x = x.detach().clone().requires_grad_()
    groups = heads(x, mixture)
    maps = {f"{group}.{task}": y for group, found in groups.items() for task, y in found.items()}
    generator = torch.Generator().manual_seed(4)
    cotangents = [torch.randn(y.shape, generator=generator, dtype=y.dtype) for y in maps.values()]
    torch.autograd.backward(list(maps.values()), cotangents)
    return maps, x.grad


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_equal_ours_in_training(name: str) -> None:
    ours, reference, mixture, x = case(name)
    found, gradient = backward(ours, x, mixture)
    expected, expected_gradient = backward(reference, x, mixture)
    require(found, expected, 1e-9)
    torch.testing.assert_close(gradient, expected_gradient, **EXACT)
    parameters = dict(ours.refiner.named_parameters())
    theirs = dict(reference.refiner.named_parameters())
    for key, (own, rows) in correspondence(ours.refiner, theirs).items():
        torch.testing.assert_close(parameters[own].grad[rows], theirs[key].grad, **EXACT, msg=key)


@pytest.mark.parametrize("name", CASES[:2])
def test_running_statistics_equal_ours_after_a_step(name: str) -> None:
    ours, reference, mixture, x = case(name)
    for heads in (ours, reference):
        torch.manual_seed(3)
        heads(x, mixture)
    state, theirs = ours.refiner.state_dict(), reference.refiner.state_dict()
    for key, (own, rows) in correspondence(ours.refiner, theirs).items():
        torch.testing.assert_close(state[own][rows], theirs[key], **EXACT, msg=key)


@pytest.mark.parametrize("name", CASES[:2])
def test_copied_weights_read_back_by_the_reference_loader_are_the_same(name: str) -> None:
    ours, reference, _, _ = case(name)
    again = copy.deepcopy(ours.refiner)
    with torch.no_grad():
        for tensor in again.parameters():
            tensor.fill_(7.0)
    load_refiner(again, reference.refiner.state_dict())
    for key, value in ours.refiner.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_mixture_gradients_equal_ours() -> None:
    ours, reference, mixture, x = case("soft")
    gradients = []
    for heads in (ours, reference):
        weights = mixture.weights.clone().requires_grad_()
        backward(heads, x, Mixture(mixture.pairs, mixture.kinds, weights, mixture.active))
        used = torch.tensor([[kind in active and kind != NONE for kind in mixture.kinds] for active in mixture.active])
        gradients.append(weights.grad[used])
    torch.testing.assert_close(*gradients, **EXACT)
    assert gradients[0].abs().min() > 0


def test_unfolded_attention_equals_the_tiled_form_at_odd_sizes() -> None:
    q, k, v = torch.randn(3, 2, 4, 11, 13, dtype=torch.float64)
    torch.testing.assert_close(window_attention(q, k, v, heads=1), unfolded_attention(q, k, v), **EXACT)


def test_a_wrong_copy_is_caught_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _, mixture, x = case("soft")
    pools = ours.refiner.candidates
    net = network(SETUP, pools)
    check_refiners(net, x, mixture)

    def spoiled(refiner, dropout):
        reference = reference_of(refiner, dropout)
        with torch.no_grad():
            next(reference.parameters()).mul_(1.5)
        return reference

    monkeypatch.setattr("analysis.bench.heads.reference_of", spoiled)
    with pytest.raises(AssertionError, match="expected equal outputs"):
        check_refiners(net, x, mixture)
