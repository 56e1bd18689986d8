"""`atrcnas deploy`: exporting the network of a run in one or more formats, and what each form costs and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from atrcnas.deploy.export import Exporter, ExportReport
from atrcnas.deploy.formats import ROUNDING, format_of
from atrcnas.deploy.loading import load_exported
from atrcnas.deploy.predictor import Predictor
from atrcnas.deploy.scoring import calibration_images, score
from atrcnas.engine.costs import Latency, measure_latency
from atrcnas.engine.evaluate import add_deployed
from atrcnas.engine.networks import load_network
from atrcnas.ground.shown import Shown
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task


def deploy_run(
    run: Path,
    outs: Sequence[Path],
    size: tuple[int, int] | None = None,
    scored: bool = False,
    overrides: Sequence[str] = (),
) -> list[str]:
    """Export the retrained network of a run, and write into its results.json what came of it.

    Args:
        run: run folder.
        outs: files of any deploy formats, e.g. ``model.onnx`` and ``model.int8.onnx``.
        size: height and width of the input; that of the validation images if None.
        scored: also score each file on the validation split.
        overrides: ``key.path=value`` for where the data is now.

    Returns:
        Lines to show: each file with its differences; for several, or if scored, a table.

    Raises:
        ExportError: a file does not reproduce the live network, or a package for it is missing.
        RunError: no run folder, not retrained, or without ``size`` not scored.
        DataError: the data are needed, to score or to calibrate, and not there.
    """
    folder, forms = RunFolder(run), [format_of(out) for out in outs]
    if size is None:
        height, width = read_results(run)["costs"]["image_size"]
        size = (height, width)
    experiment, net = folder.load_experiment(overrides), load_network(folder)
    inexact = any(form.tolerance > ROUNDING for form in forms)
    exporter = Exporter(net, size, calibration_images(experiment, size) if inexact else None)
    reports = [_written(exporter, out) for out in outs]
    # One after the other, so that whatever else the machine does slows all of them.
    image = torch.rand(1, 3, *size)
    latencies = [measure_latency(load_exported(out, trusted=True).run, image) for out in outs]
    live = measure_latency(fold_batch_norm(net, size), image) if scored or len(outs) > 1 else None
    found = {
        form.runtime: _record(report, latency, experiment if scored else None)
        for form, report, latency in zip(forms, reports, latencies, strict=True)
    }
    results: Mapping[str, Any] = {}
    if folder.results.is_file():
        with folder.locked():
            results = add_deployed(folder, found, size)
    lines = [line for report, record in zip(reports, found.items(), strict=True) for line in _said(report, *record)]
    return lines if live is None else [*lines, *_table(results.get("scores"), live, found, experiment)]


def _written(exporter: Exporter, out: Path) -> ExportReport:
    with Shown(f"exporting {out.name}, and comparing it with the network", counted=False):
        return exporter.write(out)


def _said(report: ExportReport, runtime: str, record: Mapping[str, Any]) -> list[str]:
    latency = record["latency_ms"]
    return [
        *str(report).splitlines(),
        f"  latency {latency['median']:.1f} ms ({runtime}, {latency['threads']} threads)",
    ]


def _record(report: ExportReport, latency: Latency, experiment: Experiment | None) -> dict[str, Any]:
    record = {
        "file": report.path.name,
        "size": list(report.size),
        "file_bytes": report.file_bytes,
        "differences": report.differences,
        "latency_ms": latency,
    }
    if experiment is not None:
        record["scores"] = score(Predictor.from_file(report.path), experiment)
    return record


def _table(scores: Any, live: Latency, found: Mapping[str, Mapping[str, Any]], experiment: Experiment) -> Iterator[str]:
    """The network itself and each file, in aligned columns."""
    tasks = experiment.predicted_tasks()
    rows = [["", "MB", "ms", "largest difference", *(f"{name} {task.score}" for name, task in tasks.items())]]
    rows.append(["the network", "-", f"{live['median']:.1f}", "-", *_figures(scores, tasks)])
    for record in found.values():
        row = [record["file"], f"{record['file_bytes'] / 1e6:.2f}", f"{record['latency_ms']['median']:.1f}"]
        row.append(f"{max(record['differences'].values()):.1e}")
        rows.append([*row, *_figures(record.get("scores"), tasks)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells)


def _figures(scores: Any, tasks: Mapping[str, Task]) -> list[str]:
    """The first score of each task; a dash where nothing was scored."""
    return [f"{scores[name][task.score]:.4f}" if scores else "-" for name, task in tasks.items()]
