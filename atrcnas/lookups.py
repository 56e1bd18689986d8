"""Commands that only show something: keys, bundled files, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atrcnas.arguments import Plugins
from atrcnas.ground.registry import load_plugins


def keys(
    section: Annotated[str | None, typer.Argument(help="A section, or how a key begins: search.trials.")] = None,
    plugin: Plugins = None,
) -> None:
    """Show every key of an experiment: type, range, default, meaning."""
    from atrcnas.listing import key_lines

    load_plugins(plugin or [])
    for line in key_lines(section):
        typer.echo(line)


def show(
    name: Annotated[str, typer.Argument(help="A bundled experiment, search space or preset.")],
    out: Annotated[Path | None, typer.Option(help="File to copy it to.")] = None,
) -> None:
    """Show a file that ships with the package, or copy it."""
    from atrcnas.spec.bundled import text_of, write_new

    text = text_of(name)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_new(out, text)
        typer.echo(str(out))


def runs(folder: Annotated[Path, typer.Argument(help="Where the run folders are.")] = Path("runs")) -> None:
    """Show the runs in a folder: how far each is, its tasks, scores, and when it last moved."""
    from atrcnas.runs.overview import overview_lines

    for line in overview_lines(folder):
        typer.echo(line)
