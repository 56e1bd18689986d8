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
from atrcnas.affording import costs, pareto, plan
from atrcnas.arguments import (
    ExperimentArg,
    Format,
    Listing,
    Overrides,
    Plugins,
    Resume,
    RunArg,
    RunOption,
    Split,
)
from atrcnas.asked import load, load_plugins_of, load_run, say_start
from atrcnas.command_groups import bench_app, data_app
from atrcnas.finished import compare, deploy, pack, plot, predict, report
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
    """The whole job: search, export, retrain, evaluate, plot, deploy, report."""
    spec, folder = load(experiment, overrides, run)
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
    spec, folder = load(experiment, overrides, run)
    from atrcnas.launch.search import search as search_contexts
    from atrcnas.pipeline import undecided_lines

    contexts = search_contexts(spec, folder, resume, profile)
    if profile:
        typer.echo((folder / "search" / "profile" / "summary.txt").read_text(encoding="utf-8"), nl=False)
    for line in undecided_lines(contexts):
        typer.echo(line)
    typer.echo(f"contexts: {folder / 'contexts.yaml'}")


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
        spec = load_run(run, overrides)
        say_start(spec.name, run)
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

    load_plugins_of(run)
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

    spec, folder = load(experiment, overrides, run)
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
    load_run(run, overrides)
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


@app.command(name="list")
def list_(what: Annotated[Listing, typer.Argument(help="What to list.")], plugin: Plugins = None) -> None:
    """List what can be named in an experiment."""
    from atrcnas.listing import lines

    load_plugins(plugin or [])
    for line in lines(what.value):
        typer.echo(line)


for command in (plan, costs, pareto, predict, plot, compare, report, deploy, pack, keys, show, runs):
    app.command()(command)


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
