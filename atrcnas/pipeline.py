"""The main job: search, export, retrain, evaluate, plot, deploy, each leaving its files in one run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrcnas.engine.logging import log_figures
from atrcnas.engine.retrain import retrain
from atrcnas.ground.errors import ExportError
from atrcnas.ground.rank import first_process
from atrcnas.launch.search import search
from atrcnas.report import write_report
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
        Lines to show: where the heat map, the contexts, the deployable model, the results and the page to show are.
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
    from atrcnas.deploy.job import deploy_run

    try:
        yield from deploy_run(run, [folder.exported])
    except ExportError as error:
        yield f"deploy: {error}"
    yield f"results: {folder.results}"
    yield f"report: {write_report([run], folder.report)} (open it in a browser)"


def _plot(experiment: Experiment, folder: RunFolder) -> list[str]:
    from atrcnas.plots import plot_run

    figures = plot_run(folder.root)
    log_figures(experiment, folder, figures)
    return [f"plot: {path}" for path in figures]


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
