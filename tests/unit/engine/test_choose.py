"""Two kinds of a pair: from the search space over the search to the fixed network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atrcnas import Experiment, plots
from atrcnas.engine.gradient_search import search
from atrcnas.engine.networks import fixed_network, supernet
from atrcnas.engine.retrain import retrain
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.inherit import inherit
from atrcnas.nn.mixture import Mixture
from atrcnas.pipeline import undecided_lines
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import parts
from atrcnas.spec.pairs import Pair

SPACE = {
    "schema": 1,
    "choose": 2,
    "pairs": {"default": ["global", "wide", "slabel"], "diagonal": ["none", "local"], "semseg<-depth": ["linear"]},
}


def experiment(path: Path, **changes: object) -> Experiment:
    return Experiment.load(path).replace(space=SPACE, **changes)


def test_two_kinds_are_searched_saved_drawn_and_retrained(tiny_experiment: Path, tmp_path: Path) -> None:
    spec = experiment(tiny_experiment)
    contexts = search(spec, tmp_path / "run")
    loaded = ContextConfig.load(tmp_path / "run" / "contexts.yaml")
    kinds = loaded.kinds(spec.tasks)
    assert kinds == contexts.kinds(spec.tasks)
    across = parts(kinds[Pair("depth", "semseg")])
    assert len(across) == 2
    assert set(across) < {"global", "wide", "slabel"}
    assert kinds[Pair("semseg", "depth")] == "linear"
    assert kinds[Pair("depth", "depth")] in ("none", "local"), "none joins no other kind"
    assert plots.draw_heatmap(loaded)
    results = retrain(spec, loaded, tmp_path / "run")
    assert set(results["scores"]) == set(spec.tasks)


def test_a_search_says_which_pairs_it_left_undecided(tiny_experiment: Path, tmp_path: Path) -> None:
    spec = experiment(tiny_experiment, search={"commit_gap": 0.9})
    search(spec, tmp_path / "run")
    made = ContextConfig.load(tmp_path / "run" / "contexts.yaml").provenance
    assert made.undecided is not None
    leads = {}
    for pair, row in made.probabilities.items():
        if len(row) > 1:
            first, second = sorted(row.values(), reverse=True)[:2]
            leads[pair] = first - second
    assert leads == pytest.approx(made.undecided, abs=2e-4), "a gap of 0.9 commits none in 6 steps"
    (line,) = undecided_lines(ContextConfig.load(tmp_path / "run" / "contexts.yaml"))
    assert all(pair in line for pair in leads) and "semseg<-depth" not in line


def test_inherited_weights_compute_what_the_supernet_does_with_even_weights(tiny_experiment: Path) -> None:
    spec = experiment(tiny_experiment)
    torch.manual_seed(0)
    net = supernet(spec).double().eval()
    with torch.no_grad():
        for fuse in net.refiners["4"].fuse.values():
            fuse.project.norm.weight.fill_(1.0)
    kinds = {
        Pair("semseg", "semseg"): "local",
        Pair("semseg", "depth"): "linear",
        Pair("depth", "semseg"): "wide+slabel",
        Pair("depth", "depth"): "local",
    }
    answer = fixed_network(spec, ContextConfig.from_kinds(kinds)).double().eval()
    inherit(answer, net.state_dict(), net)
    image = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    even = {pair: {part: 1 / len(parts(kind)) for part in parts(kind)} for pair, kind in kinds.items()}
    with torch.no_grad():
        expected = net(image, mixture=Mixture.from_weights(even, torch.float64)).predictions
        found = answer(image).predictions
    for task in spec.tasks:
        torch.testing.assert_close(found[task], expected[task], rtol=0.0, atol=1e-10)


def test_a_strategy_without_probabilities_is_refused(tiny_experiment: Path) -> None:
    spec = experiment(tiny_experiment, search={"strategy": "oneshot-random"})
    with pytest.raises(ConfigError, match=r"choose: 2 .*'oneshot-random' has no probabilities\. Set search\.strategy"):
        spec.search_space()
