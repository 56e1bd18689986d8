"""Scoring the retrained network of a run: metrics of each task, costs, and samples for the gallery."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from atrcnas.data.batch import Batch
from atrcnas.data.loading import open_source, validation_loader
from atrcnas.engine.class_report import class_report, confusion_rows
from atrcnas.engine.costs import Latency, measure_compiled, measure_costs
from atrcnas.engine.devices import on_gpu, surroundings
from atrcnas.engine.networks import load_network
from atrcnas.engine.pair_costs import pair_costs
from atrcnas.engine.scores import Scores
from atrcnas.engine.splits import Splits, choosing_loader, open_splits
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_atomically
from atrcnas.ground.shown import Shown
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.decode import as_map
from atrcnas.runs.budget import spent as spent_on
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results, write_results
from atrcnas.runs.tables import CONFUSION, Table
from atrcnas.spec.branches import Branches
from atrcnas.spec.experiment import Experiment

DEPLOYED = "latency_ms_deployed"  # of the costs
TEST, FILES = "test", "deployed"
NUM_SAMPLES = 4


def evaluate(run: str | Path, compiled: bool = False, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Score ``model.safetensors`` of a run on the whole validation split.

    Args:
        run: run folder with a retrained network.
        compiled: measure the latency under torch.compile too.
        overrides: ``key.path=value`` for where the data is now.

    Returns:
        What ``results.json`` holds, see :func:`score_run`.

    Raises:
        RunError: no run folder, or nothing retrained in it.
        CheckpointError: the weights are damaged.
        ExportError: ``compiled``, and the network does not compile; the scores are written before.
    """
    folder = RunFolder(Path(run))
    with folder.locked():
        results = score_run(folder, overrides=overrides)
        if compiled:
            size = tuple(results["costs"]["image_size"])
            results = add_latency(folder, "compiled", measure_compiled(load_network(folder), size))
    return results


def evaluate_test(run: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Score ``model.safetensors`` of a run on the test split, and add that to ``results.json`` under ``test``.

    Args:
        run: run folder with a retrained network that has been scored.
        overrides: ``key.path=value`` for where the data is now, or where the test split is.

    Returns:
        ``scores`` (task -> figures on the test split) and ``samples``, their number.

    Raises:
        RunError: no run folder, or nothing retrained and scored in it.
        DataError: the data set has no test split, or its files are at fault.
    """
    folder = RunFolder(Path(run))
    with folder.locked():
        experiment = folder.load_experiment(overrides)
        results = read_results(folder.root)
        net = load_network(folder).to("cuda" if on_gpu(experiment) else "cpu")
        source = open_source(experiment, "test")
        scores, _ = _run_through(experiment, net, validation_loader(experiment, source, 1))
        found = {"scores": scores.compute(), "samples": len(source)}
        write_results(folder.results, {**results, TEST: found})
    return found


def score_run(
    folder: RunFolder,
    report: bool = True,
    seconds: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Score the network of a locked run folder and write ``results.json``.

    Args:
        folder: of the run.
        report: score on the validation split too; off where many networks are trained to choose among.
        seconds: wall time of the stages that have just ended; after these, an earlier score on the test split no longer holds.
        overrides: ``key.path=value`` for where the data is now.

    Returns:
        ``scores`` (task -> figures on the validation split; without ``report`` on what choices are made on), ``classes``
        (those of each class, see :func:`class_report`),
        ``branches`` (where tasks part in the encoder; none where they share all of it),
        ``selection`` (the total by which states and configs are chosen), ``selected_on`` (where it comes from: split,
        number of samples, figures), ``keep``, ``seconds`` by stage, ``device`` and ``costs``.
    """
    experiment, began = folder.load_experiment(overrides), time.monotonic()
    before = _results_before(folder)
    net, device = load_network(folder), torch.device("cuda" if on_gpu(experiment) else "cpu")
    net.to(device)
    splits = open_splits(experiment)
    if splits.selection or not report:
        chosen, size = _run_through(experiment, net, choosing_loader(experiment, splits, 1))
    if report:
        scores, size = _run_through(experiment, net, validation_loader(experiment, splits.val, 1), folder.samples)
        chosen = chosen if splits.selection else scores
    else:
        scores = chosen
    just_now = {**(seconds or {}), "evaluate": round(time.monotonic() - began, 2)}
    confusions = scores.confusions()
    if report and confusions:
        Table(folder.confusion, CONFUSION).begin(confusion_rows(confusions))
    results = {
        "experiment": experiment.name,
        "seed": experiment.seed,
        "scores": scores.compute(),
        "classes": class_report(experiment.predicted_tasks(), confusions),
        "scores_on": "val" if report else splits.chosen_on,
        **_chosen(experiment, splits, chosen),
        "config_by_trials": folder.journal.exists(),
        "seconds": {**before.get("seconds", {}), **just_now, **_searching(folder)},
        "device": surroundings(experiment)["device"],
        "costs": {"image_size": list(size), **measure_costs(net.cpu(), size), **_deployed(before)},
    }
    if report:
        results["costs"]["pairs"] = {str(pair): cost for pair, cost in pair_costs(net, size).items()}
    if not seconds:  # the weights are those of before
        results |= {key: before[key] for key in (TEST, FILES) if key in before}
    else:
        folder.importance.unlink(missing_ok=True)
    write_results(folder.results, results)
    return results


def _chosen(experiment: Experiment, splits: Splits, chosen: Scores) -> dict[str, Any]:
    """What the network is chosen by, and which of its states and trees it is."""
    figures = chosen.compute()
    return {
        "selection": chosen.selection(figures),
        "selected_on": {"split": splits.chosen_on, "samples": len(splits.choosing[1]), "scores": figures},
        "keep": experiment.retrain.keep,
        "branches": Branches.of(experiment.model.branches, experiment.all_tasks).as_mapping(),
    }


def _searching(folder: RunFolder) -> dict[str, float]:
    """Seconds of the searches of a run, by stage."""
    budgets = {"search": folder.budget, "branches": RunFolder(folder.branches).budget}
    return {stage: spent_on(budget)[1] for stage, budget in budgets.items() if budget.is_file()}


def _results_before(folder: RunFolder) -> dict[str, Any]:
    try:
        return read_results(folder.root)
    except RunError:
        return {}


def _deployed(before: Mapping[str, Any]) -> dict[str, Any]:
    """Latencies of exported forms measured earlier, which still hold: the weights are the same."""
    return {key: value for key, value in before.get("costs", {}).items() if key == DEPLOYED}


def add_deployed(folder: RunFolder, found: Mapping[str, Mapping[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """Write what is known of exported files, by runtime, into results.json; return all of it.

    Args:
        folder: of the run, locked.
        found: runtime -> file, size, file_bytes, differences, latency_ms and, if it was scored, scores.
        size: (height, width) of their images; latencies are compared with the network's only where that is its own.
    """
    results = read_results(folder.root)
    results[FILES] = {**results.get(FILES, {}), **found}
    if tuple(results["costs"]["image_size"]) == tuple(size):
        latencies = {runtime: record["latency_ms"] for runtime, record in found.items()}
        results["costs"].setdefault(DEPLOYED, {}).update(latencies)
    write_results(folder.results, results)
    return results


def add_latency(folder: RunFolder, form: str, latency: Latency) -> dict[str, Any]:
    """Write the latency of a deployed form into results.json, besides that of the plain network; return all of it."""
    results = read_results(folder.root)
    results["costs"].setdefault(DEPLOYED, {})[form] = latency
    write_results(folder.results, results)
    return results


@torch.no_grad()
def _run_through(
    experiment: Experiment, net: MultiTaskNet, loader: DataLoader[Batch], kept: Path | None = None
) -> tuple[Scores, tuple[int, int]]:
    """Score all images of ``loader``, one at a time, and keep some; also return the size of the last one."""
    device = next(net.parameters()).device
    scores = Scores(experiment.predicted_tasks(), device, alone=True)
    shown = set(np.linspace(0, len(loader) - 1, NUM_SAMPLES, dtype=int).tolist())  # neighbours are often alike
    size = (0, 0)
    with Shown("scoring") as progress:
        for number, batch in enumerate(loader):
            batch, size = batch.to(device), batch.sizes[0]
            outputs = net(batch.image, batch.image_valid)
            decoded = scores.update(outputs.predictions, batch)
            if kept is not None and number in shown:
                _save_sample(kept / f"{number:06d}.npz", batch, decoded)
            progress.update(number + 1, len(loader))
    return scores, size


def _save_sample(path: Path, batch: Batch, decoded: Mapping[str, torch.Tensor]) -> None:
    inside = batch.window(0)
    arrays: dict[str, Any] = {"image": batch.image[0].permute(1, 2, 0).cpu().numpy()[inside]}
    for name in decoded:
        arrays[f"prediction.{name}"] = as_map(decoded[name])[inside]
        arrays[f"target.{name}"] = as_map(batch.targets[name])[inside]
        arrays[f"valid.{name}"] = batch.valid[name][0].cpu().numpy()[inside]
    write_atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))
