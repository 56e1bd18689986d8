"""The main job: search, export, retrain, evaluate, plot, deploy, each leaving its files in one run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrcnas.engine.costs import measure_latency
from atrcnas.engine.evaluate import add_latency
from atrcnas.engine.logging import log_figures
from atrcnas.engine.networks import load_network
from atrcnas.engine.retrain import retrain
from atrcnas.ground.errors import ExportError
from atrcnas.ground.rank import first_process
from atrcnas.ground.shown import Shown
from atrcnas.launch.search import search
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment


def run_job(experiment: Experiment, run: Path, resume: bool = False) -> Iterator[str]:
    """Do the whole job.

    Args:
        experiment: what to do.
        run: run folder.
        resume: skip finished stages and continue the unfinished one.

    Yields:
        Lines to show: where the heat map, the contexts, the results and the deployable model are.
    """
    folder = RunFolder(run)
    if resume and folder.begun("retrain"):
        contexts = folder.load_contexts()
    else:
        contexts = search(experiment, run, resume)
        yield from undecided_lines(contexts)
    retrain(experiment, contexts, run, resume)
    if not first_process():
        return
    yield from result_lines(read_results(run))
    yield from _plot(experiment, folder)
    yield f"contexts: {folder.contexts}"
    try:
        yield from deploy_run(run, folder.exported)
    except ExportError as error:
        yield f"deploy: {error}"
    yield f"results: {folder.results}"


def _plot(experiment: Experiment, folder: RunFolder) -> list[str]:
    from atrcnas.plots import plot_run

    figures = plot_run(folder.root)
    log_figures(experiment, folder, figures)
    return [f"plot: {path}" for path in figures]


def deploy_run(run: Path, out: Path, size: tuple[int, int] | None = None) -> list[str]:
    """Export the retrained network of a run.

    Args:
        run: run folder.
        out: file of any deploy format, e.g. ``.onnx`` or ``.pt2``.
        size: height and width of the input; that of the validation images if None.

    Returns:
        Lines to show.

    Raises:
        ExportError: the file does not reproduce the live network, or a package for it is missing.
    """
    import torch

    from atrcnas.deploy.export import export
    from atrcnas.deploy.formats import format_of
    from atrcnas.deploy.loading import load_exported

    folder = RunFolder(run)
    if size is None:
        height, width = read_results(run)["costs"]["image_size"]
        size = (height, width)
    with Shown(f"exporting {out.name}", counted=False):
        lines = str(export(load_network(folder), size, out)).splitlines()
        latency = measure_latency(load_exported(out, trusted=True).run, torch.rand(1, 3, *size))
    runtime = format_of(out).runtime
    lines.append(f"  latency {latency['median']:.1f} ms ({runtime}, {latency['threads']} threads)")
    with folder.locked():
        if folder.results.is_file() and tuple(read_results(run)["costs"]["image_size"]) == tuple(size):
            add_latency(folder, runtime, latency)
    return lines


def undecided_lines(contexts: ContextConfig) -> list[str]:
    """Which pairs a search left open and by how much, in words; nothing if it decided all, or does not say."""
    found = contexts.provenance.undecided
    if not found:
        return []
    leads = ", ".join(f"{pair} (by {gap:.2f})" for pair, gap in sorted(found.items(), key=lambda item: item[1]))
    return [f"undecided, and by how much the best kind leads: {leads}"]


def result_lines(results: dict[str, Any]) -> list[str]:
    """Scores and costs in words."""
    lines = []
    for task, figures in results.get("scores", {}).items():
        lines.append(f"{task}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    costs = results.get("costs", {})
    if costs:
        deployed = "".join(
            f", {form} {latency['median']:.1f} ms" for form, latency in costs.get("latency_ms_deployed", {}).items()
        )
        lines.append(
            f"parameters {costs['parameters'] / 1e6:.2f} M, multiply-adds {costs['multiply_adds'] / 1e9:.2f} G, "
            f"latency {costs['latency_ms']['median']:.1f} ms at {'x'.join(map(str, costs['image_size']))}{deployed}"
        )
    return lines
