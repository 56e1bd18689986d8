"""Scoring the retrained network of a run: metrics of each task, costs, and samples for the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrcnas.data.loading import Batch, open_source, validation_loader
from atrcnas.engine.costs import Latency, measure_compiled, measure_costs
from atrcnas.engine.devices import on_gpu
from atrcnas.engine.finished import read_results
from atrcnas.engine.networks import load_network
from atrcnas.engine.run_folder import RunFolder
from atrcnas.engine.scores import Scores
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_atomically, write_json
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.experiment import Experiment

DEPLOYED = "latency_ms_deployed"
NUM_SAMPLES = 4


def evaluate(run: str | Path, held_lock: bool = False, compiled: bool = False) -> dict[str, Any]:
    """Score ``model.safetensors`` of a run on the whole validation split.

    Args:
        run: run folder with a retrained network.
        held_lock: the caller holds the folder's lock already.
        compiled: measure the latency under torch.compile too.

    Returns:
        What ``results.json`` holds: ``scores`` (task -> figures), ``selection``, ``costs``.

    Raises:
        RunError: no run folder, or nothing retrained in it.
        CheckpointError: the weights are damaged.
        ExportError: ``compiled``, and the network does not compile; the scores are written before.
    """
    folder = RunFolder(Path(run))
    experiment = folder.load_experiment()
    net = load_network(folder)
    device = torch.device("cuda" if on_gpu(experiment) else "cpu")
    with nullcontext() if held_lock else folder.locked():
        scores = Scores(experiment.predicted_tasks(), device, alone=True)
        size = _run_through(experiment, net.to(device), device, scores, folder.samples)
        figures = scores.compute()
        results = {
            "experiment": experiment.name,
            "seed": experiment.seed,
            "scores": figures,
            "selection": scores.selection(figures),
            "costs": {"image_size": list(size), **measure_costs(net.cpu(), size), **_deployed(folder)},
        }
        write_json(folder.results, results)
        if compiled:
            results = add_latency(folder, "compiled", measure_compiled(net, size))
    return results


def _deployed(folder: RunFolder) -> dict[str, Any]:
    """Latencies of exported forms that were measured before: the weights are the same."""
    try:
        costs = read_results(folder.root)["costs"]
    except RunError:
        return {}
    return {key: value for key, value in costs.items() if key == DEPLOYED}


def add_latency(folder: RunFolder, form: str, latency: Latency) -> dict[str, Any]:
    """Write the latency of a deployed form into results.json, beside that of the plain network; return all of it."""
    results = read_results(folder.root)
    results["costs"].setdefault(DEPLOYED, {})[form] = latency
    write_json(folder.results, results)
    return results


@torch.no_grad()
def _run_through(
    experiment: Experiment, net: MultiTaskNet, device: torch.device, scores: Scores, samples: Path
) -> tuple[int, int]:
    """Score the validation split and save some samples; return the size of the last image."""
    loader = validation_loader(experiment, open_source(experiment, "val"), 1)
    shown = set(np.linspace(0, len(loader) - 1, NUM_SAMPLES, dtype=int).tolist())  # neighbours are often alike
    size = (0, 0)
    for number, batch in enumerate(loader):
        batch, size = batch.to(device), batch.sizes[0]
        outputs = net(batch.image, batch.image_valid)
        decoded = scores.update(outputs.predictions, batch)
        if number in shown:
            _save_sample(samples / f"{number:06d}.npz", batch, decoded)
    return size


def _save_sample(path: Path, batch: Batch, decoded: Mapping[str, torch.Tensor]) -> None:
    arrays: dict[str, Any] = {"image": batch.image[0].permute(1, 2, 0).cpu().numpy()}
    for name in decoded:
        arrays[f"prediction.{name}"] = as_map(decoded[name])
        arrays[f"target.{name}"] = as_map(batch.targets[name])
        arrays[f"valid.{name}"] = batch.valid[name][0].cpu().numpy()
    write_atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def as_map(x: torch.Tensor) -> np.ndarray:
    """First of a batch of [B, H, W], [B, 1, H, W] or [B, 3, H, W] as [H, W] or [H, W, 3]."""
    one = x[0].cpu().numpy()
    if one.ndim == 3:
        one = one[0] if len(one) == 1 else np.moveaxis(one, 0, -1)
    return one
