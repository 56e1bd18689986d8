"""Commands for what a run has made: predict, plot, compare, report, deploy, pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atrcnas.arguments import Overrides, Plugins, RunArg, SizeOption
from atrcnas.asked import load_plugins_of, load_run
from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import load_plugins


def predict(
    model: Annotated[
        str, typer.Argument(help="A run folder, an exported file, a packed folder, or OWNER/NAME on the Hub.")
    ],
    images: Annotated[list[Path], typer.Argument(help="Image and video files, folders of images, or `camera`.")],
    out: Annotated[Path, typer.Option(help="Folder for pictures, arrays and videos.")],
    size: SizeOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    plugin: Plugins = None,
) -> None:
    """Predict every task on images; writes a picture per task and the arrays."""
    from atrcnas.deploy.predict import predict_images
    from atrcnas.deploy.predictor import Predictor

    load_plugins(plugin or [])
    for path in predict_images(Predictor.open(model, size, device), images, out):
        typer.echo(str(path))


def plot(
    source: Annotated[str, typer.Argument(help="A run folder, a context config or a preset.")],
    out: Annotated[Path | None, typer.Option(help="Folder for a run's plots, or file for a heat map.")] = None,
    importance: Annotated[
        bool, typer.Option("--importance", help="First score a run's network without the context of each pair.")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Draw the heat map of a context config, or every figure of a run."""
    from atrcnas.plots import plot_contexts, plot_run

    path = Path(source)
    load_plugins(plugin or [])
    if importance and not path.is_dir():
        raise RunError(f"{path}: --importance: expected a run folder with a retrained network, got none. Leave it out.")
    if path.is_dir():
        load_plugins_of(path)
        if importance:
            from atrcnas.engine.importance import write_importance

            write_importance(path)
        for figure in plot_run(path, out):
            typer.echo(str(figure))
    else:
        typer.echo(str(plot_contexts(path, out or Path(f"{path.stem}.png"))))


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; seeds of one configuration become one row.")],
    baseline: Annotated[
        list[Path] | None,
        typer.Option(help="Run that Delta_m compares with; repeat it for every single-task network or seed."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv or .md.")] = None,
) -> None:
    """Put the scores and costs of several runs side by side."""
    from atrcnas.engine.compare import compare as compare_runs
    from atrcnas.engine.compare_table import save, text

    comparison = compare_runs(runs, baseline or [])
    for line in text(comparison):
        typer.echo(line)
    if out is not None:
        typer.echo(str(save(comparison, out)))


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, in whatever state.")],
    out: Annotated[Path | None, typer.Option(help="File to write. [default: RUN/report.html of the first]")] = None,
    baseline: Annotated[
        list[Path] | None, typer.Option(help="Run that Delta_m compares with; may be repeated.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the page to this machine, and keep it current.")
    ] = False,
    port: Annotated[int, typer.Option(help="Of --watch; 0 for any that is free.", min=0, max=65535)] = 0,
    plugin: Plugins = None,
) -> None:
    """Write one page to show: heat map, curves, pictures, scores, costs; needs no network."""
    from atrcnas.report import write_report
    from atrcnas.report.serving import ReportServer, serve
    from atrcnas.runs.folder import RunFolder

    load_plugins(plugin or [])
    if watch:
        serve(ReportServer(runs, baseline or [], port, out), typer.echo)
    else:
        typer.echo(str(write_report(runs, out or RunFolder(runs[0]).report, baseline or [])))


def deploy(
    run: RunArg,
    out: Annotated[
        list[Path],
        typer.Option(
            help="File to write; its ending chooses the format: .onnx, .fp16.onnx, .int8.onnx, .pt2. Repeatable."
        ),
    ],
    size: SizeOption = None,
    overrides: Overrides = None,
    score: Annotated[bool, typer.Option("--score", help="Also score each file on the validation split.")] = False,
) -> None:
    """Export the retrained network and compare each file with the live one."""
    load_run(run, overrides)
    from atrcnas.deploy.job import deploy_run

    for line in deploy_run(run, out, size, score, overrides or []):
        typer.echo(line)


def pack(
    run: RunArg,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, as the Hub names it: mit, cc-by-nc-4.0, ...")
    ] = None,
) -> None:
    """Save the retrained network as a folder that travels: weights, configuration, model card."""
    from atrcnas.deploy.pretrained import pack as pack_run

    typer.echo(str(pack_run(run, out, licence)))
