"""Commands that have commands of their own: `atrcnas data` and `atrcnas bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atrcnas.arguments import ExperimentArg, Overrides, Published

data_app = typer.Typer(help="Prepare a published data set; check any.", no_args_is_help=True)
bench_app = typer.Typer(help="Ask a table of trained context configs.", no_args_is_help=True)

BenchName = Annotated[
    str,
    typer.Option(
        help="The table: rooms-small, rooms-small-wide, rooms-deep or camvid-small; "
        "with --table, the bundled experiment that its rows were trained by."
    ),
]
TableOption = Annotated[Path | None, typer.Option(help="Another table than the package's.")]


@data_app.command()
def prepare(
    name: Annotated[Published, typer.Argument(help="The data set.")],
    archive: Annotated[Path, typer.Option(help="NYUD_MT, NYUDv2, PASCAL_MT or PASCALContext as .tgz, .tar or .zip.")],
    root: Annotated[Path, typer.Option(help="Folder to unpack into.")],
) -> None:
    """Unpack the archive of a published data set safely, and try its first and last samples."""
    from atrcnas.data_job import prepare_lines

    for line in prepare_lines(name.value, archive, root):
        typer.echo(line)


@data_app.command()
def check(experiment: ExperimentArg, overrides: Overrides = None) -> None:
    """Read all data of an experiment: class shares, missing ground truth, ranges, and every fault."""
    from atrcnas.spec.experiment import Experiment

    spec = Experiment.load(experiment, overrides or [])
    from atrcnas.data_job import check_lines

    for line in check_lines(spec):
        typer.echo(line)


@bench_app.command()
def query(
    config: Annotated[str, typer.Argument(help="A name such as local.none/none.global, or a context config file.")],
    seed: Annotated[int | None, typer.Option(help="Of one training. [default: the mean over all]")] = None,
    name: BenchName = "rooms-small",
    table: TableOption = None,
) -> None:
    """Show what a config scored, and how it stands among all configs of the space."""
    from atrcnas.contextbench import load
    from atrcnas.contextbench.report import config_lines

    for line in config_lines(load(name, table), config, seed):
        typer.echo(line)


@bench_app.command()
def report(
    name: BenchName = "rooms-small",
    table: TableOption = None,
    out: Annotated[Path | None, typer.Option(help="Figure to write: .png, .pdf or .svg.")] = None,
) -> None:
    """Show noise floor, shares of variance by site, what each kind is worth, the best and the worst."""
    from atrcnas.contextbench import load
    from atrcnas.contextbench.report import draw, lines
    from atrcnas.plots.canvas import save

    bench = load(name, table)
    drawn = None if out is None else save(draw(bench), out)
    for line in lines(bench):
        typer.echo(line)
    if drawn is not None:
        typer.echo(str(drawn))
