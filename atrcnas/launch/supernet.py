"""Scores without training: every config with the weights of one supernet, trained on evenly drawn configs.

Source: Guo et al., ECCV 2020 (single path one-shot). Differs: BatchNorm keeps the supernet's statistics, those of all
configs together.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrcnas.engine.checkpoints import Checkpoints, read_checkpoint, trained_weights
from atrcnas.engine.devices import on_gpu
from atrcnas.engine.gradient_search import search
from atrcnas.engine.networks import supernet
from atrcnas.engine.scores import Scores
from atrcnas.engine.splits import choosing_loader, open_splits
from atrcnas.ground.errors import CheckpointError
from atrcnas.launch.ask_tell import Pools, Trials
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import TrialsSpec


def evenly(pools: Pools, trials: Trials, options: TrialsSpec, seed: int) -> None:
    """Ask for configs drawn evenly from the pools."""
    generator = np.random.default_rng(seed)
    while trials.left:
        trials.submit({pair: pool[generator.integers(len(pool))] for pair, pool in pools.items()})


def train_evenly(experiment: Experiment, run: Path) -> None:
    """Train the supernet of a search space, one evenly drawn config per step; resumes if it has started.

    The engine's own search does it, with logits that stay where they are.
    """
    still = {
        "logits_learning_rate": 1e-30,
        "entropy_weight": [0.0, 0.0],
        "commit_gap": 1.0,
        "held_out": 0.0,
        "budget": {},
    }
    even = experiment.replace(search={**still, "strategy": "gumbel", "estimator": "sampled"})
    search(even, run, resume=RunFolder(run).begun("search"))


def score(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Score one config on the selection part, or without one on the validation split.

    Args:
        payload: ``experiment`` (plain values), ``sample`` (kind per pair) and ``supernet`` (a run folder).

    Returns:
        The config with its ``score``, ``steps`` (0), ``seconds``, ``seed`` and ``folder`` (none).
    """
    return scored(payload, lambda experiment, net, kinds: {"score": _selection(experiment, net, kinds)})


def scored(
    payload: Mapping[str, Any], judge: Callable[[Experiment, MultiTaskNet, Mapping[Pair, str]], dict[str, Any]]
) -> dict[str, Any]:
    """What ``judge`` says of a config's kinds in the supernet, with the other fields of a trial."""
    began = time.monotonic()
    experiment = Experiment.load(payload["experiment"])
    net = _trained(json.dumps(payload["experiment"]), payload["supernet"])
    found = judge(experiment, net, {Pair.parse(pair): kind for pair, kind in payload["sample"].items()})
    return {
        "sample": dict(payload["sample"]),
        **found,
        "steps": 0,
        "seconds": round(time.monotonic() - began, 2),
        "seed": experiment.seed,
        "folder": "",
    }


@functools.lru_cache(maxsize=1)
def _trained(experiment_json: str, run: str) -> MultiTaskNet:
    """The supernet of a run; read once per worker."""
    experiment = Experiment.load(json.loads(experiment_json)).replace(backbone={"weights": "none"})
    net, path = supernet(experiment), Checkpoints(RunFolder(Path(run)).checkpoints("search")).last
    try:
        net.load_state_dict(trained_weights(read_checkpoint(path)))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: a supernet of another search space or model. Correct search.trials.supernet."
        ) from error
    return net.to("cuda" if on_gpu(experiment) else "cpu").eval()


@torch.no_grad()
def _selection(experiment: Experiment, net: MultiTaskNet, kinds: Mapping[Pair, str]) -> float:
    device = next(net.parameters()).device
    scores = Scores(experiment.predicted_tasks(), device, alone=True)
    mixture = Mixture.one_hot(kinds).to(device)
    for batch in choosing_loader(experiment, open_splits(experiment), 1):
        batch = batch.to(device)
        scores.update(net(batch.image, batch.image_valid, mixture).predictions, batch)
    return scores.selection(scores.compute())
