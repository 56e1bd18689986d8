"""The refiner and the sampler in somebody else's network and training loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atrcnas import ContextRefiner, Sampler, SearchSpace


class Foreign(nn.Module):
    """Somebody's encoder-decoder with two heads and nothing of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.decoders = nn.ModuleDict({name: nn.Conv2d(24, 12, 3, padding=1) for name in ("seg", "height")})
        self.guess = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 8, 1)})
        self.heads = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 1, 1)})

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        shared = self.encoder(image)
        return {name: decoder(shared) for name, decoder in self.decoders.items()}


@pytest.mark.parametrize("estimator", ["soft", "sampled"])
def test_a_foreign_network_is_searched_and_then_fixed(estimator: str) -> None:
    torch.manual_seed(0)
    foreign = Foreign()
    pools = SearchSpace.load("full").pools(["seg", "height"])
    refiner, sampler = ContextRefiner(pools, width=12), Sampler(pools, estimator=estimator)
    weights = torch.optim.SGD([*foreign.parameters(), *refiner.parameters()], 0.05)
    logits = torch.optim.Adam([sampler.logits], 0.2)
    image, target = torch.randn(2, 3, 32, 48), torch.randint(5, (2, 8, 12))
    losses = []
    for step in range(8):
        features = foreign.features(image)
        labels = {name: foreign.guess[name](x) for name, x in features.items()}
        refined = refiner(features, labels, mixture=sampler.draw(step, tau=1.0))
        loss = nn.functional.cross_entropy(foreign.heads["seg"](refined["seg"]), target)
        loss = loss + foreign.heads["height"](refined["height"]).square().mean()
        weights.zero_grad(), logits.zero_grad()
        loss.backward()
        weights.step(), logits.step()
        sampler.commit()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert sampler.logits.abs().max() > 0
    fixed = ContextRefiner({pair: (kind,) for pair, kind in sampler.chosen().items()}, width=12)
    features = foreign.features(image)
    refined = fixed(features, {name: foreign.guess[name](x) for name, x in features.items()})
    assert {name: x.shape for name, x in refined.items()} == {name: x.shape for name, x in features.items()}
