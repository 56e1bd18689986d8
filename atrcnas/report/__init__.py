"""One page to show: what a run found, in a single HTML file that needs no network. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_text
from atrcnas.report.comparing import compared
from atrcnas.report.page import render
from atrcnas.report.reading import RunView, read_run

__all__ = ["RunView", "make_page", "read_run", "render", "write_report"]


def write_report(runs: Sequence[Path], out: Path, baselines: Sequence[Path] = ()) -> Path:
    """Write the page of some runs, in whatever state they are.

    Args:
        runs: run folders.
        out: an ``.html`` file.
        baselines: run folders that Delta_m compares with.

    Raises:
        RunError: another suffix, or something given as a run is not a run folder.
    """
    if out.suffix.lower() != ".html":
        raise RunError(f"--out: {out}: expected an .html file, got '{out.suffix}'. Rename the output.")
    write_text(out, make_page(runs, baselines))
    return out


def make_page(runs: Sequence[Path], baselines: Sequence[Path] = (), stamp: str = "") -> str:
    """The page as HTML.

    Args:
        runs: run folders.
        baselines: run folders that Delta_m compares with.
        stamp: see :func:`render`.

    Raises:
        RunError: something given as a run is not a run folder.
    """
    views = [read_run(run, shared_by=len(runs)) for run in runs]
    return render(views, compared([*runs, *baselines], baselines), stamp)
