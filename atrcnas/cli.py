"""The command line: one function per command, each a few lines over the public API."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from atrcnas._version import __version__
from atrcnas.arguments import (
    ExperimentArg,
    Format,
    Listing,
    Overrides,
    Plugins,
    Resume,
    RunArg,
    RunOption,
    SizeOption,
    Split,
)
from atrcnas.command_groups import bench_app, data_app
from atrcnas.ground.errors import AtrcnasError, RunError, Stopped
from atrcnas.ground.rank import first_process
from atrcnas.ground.registry import load_plugins
from atrcnas.lookups import keys, runs, show

app = typer.Typer(
    name="atrcnas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"atrcnas {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may follow any command.")
    ] = False,
) -> None:
    """Search for the right kind of context between every pair of dense prediction tasks."""
    # Declared for --help; `main` reads --debug itself, wherever it stands.


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images and label maps.")],
    out: Annotated[
        Path | None, typer.Option(help="Experiment file to write. [default: FOLDER's name.yaml, here]")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Let timm download weights for the backbone; else asked on a terminal.")
    ] = False,
) -> None:
    """Write a first experiment for a folder of data, and say what to run next."""
    from atrcnas.init_job import init_lines

    file = out or Path(f"{folder.resolve().name}.yaml")
    for line in init_lines(folder, file, pretrained):
        typer.echo(line)


@app.command()
def run(experiment: ExperimentArg, overrides: Overrides = None, run: RunOption = None, resume: Resume = False) -> None:
    """The whole job: search, export, retrain, evaluate, plot, deploy."""
    spec, folder = _load(experiment, overrides, run)
    from atrcnas.pipeline import run_job

    for line in run_job(spec, folder, resume):
        typer.echo(line)


@app.command()
def search(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    run: RunOption = None,
    resume: Resume = False,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time of a few steps goes.")] = False,
) -> None:
    """Search the context of every pair; writes contexts.yaml into the run folder."""
    spec, folder = _load(experiment, overrides, run)
    from atrcnas.launch.search import search as search_contexts
    from atrcnas.pipeline import undecided_lines

    contexts = search_contexts(spec, folder, resume, profile)
    if profile:
        typer.echo((folder / "search" / "profile" / "summary.txt").read_text(encoding="utf-8"), nl=False)
    for line in undecided_lines(contexts):
        typer.echo(line)
    typer.echo(f"contexts: {folder / 'contexts.yaml'}")


@app.command()
def plan(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what an experiment will cost, by trying a few steps: time, memory, disk, and what would be cheaper."""
    import json
    from dataclasses import asdict

    from atrcnas.planning.cheaper import savings
    from atrcnas.planning.job import BUDGET_S
    from atrcnas.planning.job import plan as plan_job
    from atrcnas.planning.lines import lines

    spec, _ = _load(experiment, overrides, None)
    found = plan_job(spec)
    cheaper = savings(spec, found, BUDGET_S / 2)
    if as_json:
        typer.echo(json.dumps({**found.dump(), "cheaper": [asdict(one) for one in cheaper]}, indent=2))
    else:
        for line in lines(found, cheaper):
            typer.echo(line)


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep file.", metavar="SWEEP")],
    overrides: Overrides = None,
    run: RunOption = None,
    resume: Resume = False,
) -> None:
    """Run an experiment many times with different settings, and compare; writes RUN/trials/NAME."""
    from atrcnas.spec.sweep import SweepSpec

    spec = SweepSpec.load(file, overrides or [])
    points = spec.trials()
    from atrcnas.launch.sweep import sweep as sweep_trials

    for line in sweep_trials(spec, run or Path("runs") / spec.name, resume, points):
        typer.echo(line)


@app.command()
def resume(run: RunArg, overrides: Overrides = None) -> None:
    """Go on with a run, a search, a retraining or a sweep, by its folder alone."""
    from atrcnas.runs.folder import RunFolder

    if RunFolder(run).sweep.is_file():
        if overrides:
            raise RunError(f"{run}: a sweep goes on as it began, got {overrides[0]!r:.80}. Leave it out.")
        from atrcnas.resuming import resume_sweep

        lines = resume_sweep(run)
    else:
        spec = _load_run(run, overrides)
        _say_start(spec.name, run)
        from atrcnas.resuming import resume_run

        lines = resume_run(spec, run, bool(overrides))
    for line in lines:
        typer.echo(line)


@app.command()
def export(
    run: RunArg,
    out: Annotated[Path | None, typer.Option(help="File to write. [default: RUN/contexts.EXT]")] = None,
    form: Annotated[
        Format, typer.Option("--format", help="Our YAML, or the reference implementation's JSON.")
    ] = Format.yaml,
) -> None:
    """Write the chosen context config of a run."""
    from atrcnas.runs.folder import RunFolder

    _load_plugins_of(run)
    contexts = RunFolder(run).load_contexts()
    if form is Format.yaml:
        path = out or run / "contexts.yaml"
        contexts.save(path)
    else:
        path = out or run / "contexts.json"
        contexts.save_reference(path)
    typer.echo(str(path))


@app.command()
def retrain(
    experiment: ExperimentArg,
    contexts: Annotated[str, typer.Option(help="A context config: our YAML, the reference's JSON, or a preset.")],
    overrides: Overrides = None,
    run: RunOption = None,
    resume: Resume = False,
    init_reference: Annotated[
        Path | None, typer.Option(help="Start from a checkpoint of the ATRC reference implementation.")
    ] = None,
) -> None:
    """Train the fixed network of a context config and score it."""
    from atrcnas.spec.context_config import ContextConfig

    spec, folder = _load(experiment, overrides, run)
    config = ContextConfig.load(contexts)
    config.kinds(spec.tasks, spec.all_tasks)
    from atrcnas.engine.retrain import retrain as retrain_network
    from atrcnas.pipeline import result_lines

    for line in result_lines(retrain_network(spec, config, folder, resume, init_reference)):
        typer.echo(line)


@app.command()
def evaluate(
    run: RunArg,
    overrides: Overrides = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Also measure the latency under torch.compile; takes a minute.")
    ] = False,
    split: Annotated[Split, typer.Option(help="Which images to score on.")] = Split.val,
) -> None:
    """Score the retrained network of a run again."""
    _load_run(run, overrides)
    from atrcnas.engine.evaluate import evaluate as evaluate_run
    from atrcnas.engine.evaluate import evaluate_test
    from atrcnas.pipeline import result_lines

    if split is Split.test:
        if compiled:
            raise RunError("--compiled: goes with --split val, which also measures costs. Leave one of them out.")
        results = evaluate_test(run, overrides or [])
    else:
        results = evaluate_run(run, compiled=compiled, overrides=overrides or [])
    for line in result_lines(results):
        typer.echo(line)


@app.command()
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


@app.command()
def plot(
    source: Annotated[str, typer.Argument(help="A run folder, a context config or a preset.")],
    out: Annotated[Path | None, typer.Option(help="Folder for a run's plots, or file for a heat map.")] = None,
    plugin: Plugins = None,
) -> None:
    """Draw the heat map of a context config, or every figure of a run."""
    from atrcnas.plots import plot_contexts, plot_run

    path = Path(source)
    load_plugins(plugin or [])
    if path.is_dir():
        _load_plugins_of(path)
        for figure in plot_run(path, out):
            typer.echo(str(figure))
    else:
        typer.echo(str(plot_contexts(path, out or Path(f"{path.stem}.png"))))


@app.command()
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


@app.command()
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


@app.command()
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
    _load_run(run, overrides)
    from atrcnas.deploy.job import deploy_run

    for line in deploy_run(run, out, size, score, overrides or []):
        typer.echo(line)


@app.command()
def costs(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Table to write, for search.costs.")] = Path("costs.csv"),
    runtime: Annotated[
        str, typer.Option(help="eager, compiled, or that of a deploy format: onnxruntime, ...")
    ] = "eager",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    size: Annotated[tuple[int, int] | None, typer.Option(help="Height and width. [default: the data set's]")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Networks that costs are fitted to, at least.")] = 40,
    checks: Annotated[int, typer.Option(min=0, help="Further networks to compare the fit with.")] = 10,
) -> None:
    """Measure what each kind of each pair costs on this machine, for a search within a budget."""
    from atrcnas.costs_job import cost_lines
    from atrcnas.spec.experiment import Experiment

    spec = Experiment.load(experiment, overrides or [])
    for line in cost_lines(spec, out, runtime, device, size, samples, checks):
        typer.echo(line)


@app.command()
def pareto(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    run: RunOption = None,
    budgets: Annotated[
        str | None, typer.Option(help="Limits, such as latency_ms=8,10,12. [default: points over the whole front]")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Also train the chosen networks.")] = False,
) -> None:
    """Find the best config at every cost from one search by rows; writes RUN/pareto."""
    from atrcnas.pareto_job import pareto_lines

    spec, folder = _load(experiment, overrides, run)
    for line in pareto_lines(spec, folder, budgets, retrain):
        typer.echo(line)


@app.command()
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


@app.command(name="list")
def list_(what: Annotated[Listing, typer.Argument(help="What to list.")], plugin: Plugins = None) -> None:
    """List what can be named in an experiment."""
    from atrcnas.listing import lines

    load_plugins(plugin or [])
    for line in lines(what.value):
        typer.echo(line)


for lookup in (keys, show, runs):
    app.command()(lookup)


def main() -> None:
    """Run the command line.

    Exit status 0, also when a cluster asked the run to stop; 2 with one message for an error in the input; 130 on
    Ctrl-C.
    """
    # Threads that spin while they wait slow a shared machine down severalfold; OpenMP reads this when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # otherwise torch's profiler writes to stderr
    if not first_process():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        _require_temporary_folder()
        app([argument for argument in arguments if argument != "--debug"], prog_name="atrcnas")
    except AtrcnasError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (RuntimeError, MemoryError) as error:
        from atrcnas.engine.devices import lost_process
        from atrcnas.engine.memory import out_of_memory

        explanation = out_of_memory(error) or lost_process(error)
        if debug or explanation is None:
            raise
        print(f"error: {explanation}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130 if stopped.signal == signal.SIGINT else 0)


def _require_temporary_folder() -> None:
    """Libraries want one when they are imported, and loader processes talk through sockets in it."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise AtrcnasError(
            f"{error.strerror}. Make room there, or set TMPDIR to a folder that can be written."
        ) from error


def _load(experiment: str, overrides: list[str] | None, run: Path | None):  # type: ignore[no-untyped-def]
    from atrcnas.spec.experiment import Experiment

    spec = Experiment.load(experiment, overrides or [])
    folder = run or Path("runs") / spec.name
    _say_start(spec.name, folder)
    return spec, folder


def _say_start(name: str, folder: Path) -> None:
    """The first sign of life: importing torch, which comes next, takes seconds."""
    if first_process():
        print(f"{name}: starting in {folder}", file=sys.stderr, flush=True)


def _load_plugins_of(folder: Path) -> None:
    """A run may use kinds and tasks that plugins register."""
    if (folder / "experiment.yaml").is_file():
        _load_run(folder)


def _load_run(folder: Path, overrides: list[str] | None = None):  # type: ignore[no-untyped-def]
    from atrcnas.runs.folder import RunFolder

    return RunFolder(folder).load_experiment(overrides or [])
