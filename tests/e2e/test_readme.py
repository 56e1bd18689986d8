"""What the README shows runs as it stands; its commands are those of the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from typer import Typer

from atrcnas import ContextRefiner, Experiment, Sampler, SearchSpace
from atrcnas.cli import app
from atrcnas.spec.sweep import SweepSpec

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_examples_run() -> None:
    for block in blocks("python"):
        exec(block, {})  # noqa: S102


def test_yaml_examples_are_valid_experiments_and_sweeps() -> None:
    first, *rest = (yaml.safe_load(block) for block in blocks("yaml"))
    Experiment.load(first)
    sweeps = [part for part in rest if "over" in part]
    assert [len(SweepSpec.load(sweep).trials()) for sweep in sweeps] == [6]
    for part in (part for part in rest if part not in sweeps):
        Experiment.load({**first, **part})


def names(part: Typer) -> list[str]:
    """Commands of an app or a sub-app."""
    return [command.name or command.callback.__name__ for command in part.registered_commands if command.callback]


def test_every_command_is_in_the_readme_and_the_other_way_round() -> None:
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    lines = re.findall(r"^    atrcnas (\w+) (\S*)", README, flags=re.MULTILINE)
    shown = {f"{first} {second}" if first in groups else first for first, second in lines}
    assert shown == {*names(app), *(f"{group} {name}" for group, part in groups.items() for name in names(part))}


def test_no_figure_is_left_to_fill_in() -> None:
    assert "@@" not in README


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
