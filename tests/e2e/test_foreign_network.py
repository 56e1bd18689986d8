"""The refiner and the search in somebody else's network and training loop; docs/own-network.md has one that learns."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrcnas import AtrcnasError, ContextRefiner, ContextSearch, Pair, SearchSpace
from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.sampler import Sampler

TASKS = ("seg", "height")
STEPS = 6


class Foreign(nn.Module):
    """Somebody's encoder-decoder with two heads and nothing of ours but the refiner."""

    def __init__(self, kinds: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.decoders = nn.ModuleDict({name: nn.Conv2d(24, 12, 3, padding=1) for name in TASKS})
        self.guess = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 8, 1)})
        self.heads = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 1, 1)})
        self.refiner = ContextRefiner(kinds, 12)

    def forward(self, image: Tensor, mixture: Mixture | None = None) -> dict[str, Tensor]:
        shared = self.encoder(image)
        features = {name: decoder(shared) for name, decoder in self.decoders.items()}
        labels = {name: self.guess[name](x) for name, x in features.items()}
        refined = self.refiner(features, labels, mixture=mixture)
        return {name: head(refined[name]) for name, head in self.heads.items()}


def losses(net: Foreign, mixture: Mixture | None = None) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 32, 48, generator=generator)
    target = torch.randint(5, (2, 8, 12), generator=generator)
    predicted = net(image, mixture)
    return {
        "seg": nn.functional.cross_entropy(predicted["seg"], target),
        "height": (predicted["height"] - 1).square().mean(),
    }


class Loop:
    """A training loop of somebody's, with what is needed to go on with it."""

    def __init__(self, **recipe: Any) -> None:
        pools = SearchSpace.load("full").pools(list(TASKS))
        self.net, self.search = Foreign(pools), ContextSearch(pools, STEPS, logits_learning_rate=0.2, **recipe)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.05)
        self.parts = (self.net, self.optimizer, self.search)

    def run(self, steps: int) -> list[float]:
        history = []
        for _ in range(steps):
            found = [losses(self.net, mixture) for mixture in self.search.draw()]
            self.optimizer.zero_grad()
            self.search.objective(found).backward()
            self.optimizer.step()
            self.search.step()
            history.append(sum(found[0].values()).item())
        return history


@pytest.mark.parametrize("estimator", ["soft", "sampled", "paired"])
def test_a_foreign_network_is_searched_fixed_and_goes_on_after_a_stop(estimator: str) -> None:
    whole, begun, resumed = (Loop(estimator=estimator, logits_warm_up=0.2) for _ in range(3))
    history = whole.run(STEPS)
    assert history[-1] < history[0]
    assert whole.search.done
    begun.run(3)
    assert not begun.search.done
    for part, state in zip(resumed.parts, copy.deepcopy([part.state_dict() for part in begun.parts]), strict=True):
        part.load_state_dict(state)
    resumed.run(STEPS - 3)
    assert torch.equal(resumed.search.sampler.logits, whole.search.sampler.logits)
    assert whole.search.sampler.logits.abs().max() > 0
    for one, other in zip(resumed.net.parameters(), whole.net.parameters(), strict=True):
        assert torch.equal(one, other)
    fixed = Foreign(whole.search.chosen())
    fixed.refiner.inherit(whole.net.refiner)
    assert not fixed.refiner.searching
    assert sum(losses(fixed).values()).isfinite()


def test_logits_descend_the_loss_and_the_entropy_by_adam() -> None:
    """Written out once more with the parts; the entropy's weight is 0.5 throughout."""
    pools = {Pair("seg", "height"): ("none", "mti")}
    search = ContextSearch(
        pools, 4, estimator="soft", logits_learning_rate=0.1, entropy_weight=(0.5, 0.5), tau=(1.0, 1.0)
    )
    sampler = Sampler(pools)
    adam = torch.optim.Adam([sampler.logits], 0.1)
    for step in range(3):
        (drawn,) = search.draw()
        search.objective([{"seg": 3 * drawn.weights[0, 1], "height": torch.tensor(1.0)}]).backward()
        search.step()
        adam.zero_grad()
        (3 * sampler.draw(step, 1.0).weights[0, 1] + 1 + 0.5 * sampler.entropy()).backward()
        adam.step()
        sampler.commit()
    torch.testing.assert_close(search.sampler.logits, sampler.logits)
    assert search.chosen() == {Pair("seg", "height"): ("none",)}


def test_resting_logits_stay_and_keep_no_gradient() -> None:
    recipe = {"estimator": "soft", "logits_warm_up": 0.5, "logits_learning_rate": 1.0}
    search = ContextSearch({Pair("a", "b"): ("none", "mti")}, 4, **recipe)
    for step in range(3):
        (drawn,) = search.draw()
        search.objective([{"a": drawn.weights[0, 0]}]).backward()
        search.step()
        assert (search.sampler.logits.abs().max() > 0.5) == (step == 2)
        assert search.sampler.logits.grad is None


POOLS = {Pair("a", "b"): ("none", "mti")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ContextSearch(POOLS, 0), "ContextSearch: steps: expected greater than or equal to 1, got 0"),
        (lambda: ContextSearch(POOLS, 9, taus=1), "ContextSearch: taus: unknown key. Did you mean 'tau'?"),
        (lambda: ContextSearch(POOLS, 9, strategy="random"), "expected gumbel or darts, got 'random'"),
        (
            lambda: ContextSearch(POOLS, 9, budget={"parameters": 9.0}),
            "budget: what contexts cost in a network of your",
        ),
        (
            lambda: ContextSearch(POOLS, 9, cost_weight={"parameters": 1.0}),
            "cost_weight: what contexts cost in a network",
        ),
        (lambda: ContextSearch({Pair("a", "b"): "mti"}, 9), r"'a<-b': expected a tuple of kinds, got 'mti'"),
        (lambda: ContextSearch({}, 9), "pools: expected at least one pair, got none"),
        (lambda: SearchSpace.load("full").pools("seg"), "expected a list of tasks, got the text 'seg'"),
        (lambda: ContextSearch(POOLS, 9).objective([]), r"draw\(\) first"),
    ],
)
def test_wrong_arguments_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(AtrcnasError, match=message):
        wrong()


def test_losses_of_another_form_are_refused() -> None:
    search = ContextSearch(POOLS, 9, estimator="paired", draws=8)
    drawn, one = search.draw(), torch.tensor(1.0)
    assert len(drawn) == 2
    for wrong in ({"a": one}, [{"a": one}], one):
        with pytest.raises(AtrcnasError, match="expected a list of 2, one mapping from task to loss for each mixture"):
            search.objective(wrong)
    with pytest.raises(AtrcnasError, match=r"expected those of \['a'\], got those of \['b'\]"):
        search.objective([{"b": one}] * 2)
