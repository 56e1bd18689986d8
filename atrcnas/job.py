"""The main job: search, export, retrain, evaluate, plot, deploy, each leaving its files in one run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrcnas.engine.evaluate import read_results
from atrcnas.engine.networks import load_network
from atrcnas.engine.retrain import retrain
from atrcnas.engine.run_folder import RunFolder
from atrcnas.engine.search import search
from atrcnas.ground.errors import ExportError, RunError
from atrcnas.spec.experiment import Experiment


def run_job(experiment: Experiment, run: Path, resume: bool = False) -> Iterator[str]:
    """Do the whole job.

    Args:
        experiment: what to do.
        run: run folder.
        resume: skip finished stages and go on with the unfinished one.

    Yields:
        Lines to show: where the heat map, the contexts, the results and the deployable model are.
    """
    folder = RunFolder(run)
    if resume and folder.stage("retrain").exists():
        contexts = folder.load_contexts()
    else:
        contexts = search(experiment, run, resume)
    retrain(experiment, contexts, run, resume)
    yield from result_lines(read_results(run))
    yield from _plot(folder)
    yield f"contexts: {folder.contexts}"
    try:
        yield from deploy_run(run, run / "deploy" / "model.onnx")
    except ExportError as error:
        yield f"deploy: {error}"
    yield f"results: {folder.results}"


def _plot(folder: RunFolder) -> list[str]:
    from atrcnas.plots import plot_run

    return [f"plot: {path}" for path in plot_run(folder.root)]


def deploy_run(run: Path, out: Path, size: tuple[int, int] | None = None) -> list[str]:
    """Export the retrained network of a run.

    Args:
        run: run folder.
        out: ``.onnx`` or ``.pt2``.
        size: height and width of the input; that of the validation images if None.

    Returns:
        Lines to show.

    Raises:
        ExportError: the file does not reproduce the live network, or a package for it is missing.
    """
    from atrcnas.deploy.export import export

    folder = RunFolder(run)
    if size is None:
        if not folder.results.is_file():
            raise RunError(f"{folder.results}: not there yet. Run `atrcnas evaluate {run}` first, or give --size.")
        height, width = read_results(run)["costs"]["image_size"]
        size = (height, width)
    return str(export(load_network(folder), size, out)).splitlines()


def result_lines(results: dict[str, Any]) -> list[str]:
    """Scores and costs in words."""
    lines = []
    for task, figures in results.get("scores", {}).items():
        lines.append(f"{task}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    costs = results.get("costs", {})
    if costs:
        lines.append(
            f"parameters {costs['parameters'] / 1e6:.2f} M, multiply-adds {costs['multiply_adds'] / 1e9:.2f} G, "
            f"latency {costs['latency_ms']['median']:.1f} ms at {'x'.join(map(str, costs['image_size']))}"
        )
    return lines
