"""The table of figures of a run.

A new figure is one file with a function and one ``PLOTS.register(Plot(...))``, here or in a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from atrcnas.ground.errors import AtrcnasError, ConfigError, RunError
from atrcnas.ground.registry import RecordT, Registry, resolve
from atrcnas.plots.canvas import save, styled


class NothingToDraw(RunError):
    """The file is there, but the run has not yet logged what the figure shows."""


@dataclass(frozen=True)
class Plot:
    """One figure of a run.

    Attributes:
        name: of the figure, and of its file: ``losses`` becomes ``losses.png``.
        draw: from the run folder to the figure, or to several by the ending of their names, such as
            ``{"": figure, "_level8": figure}``; or its ``"module:function"`` string. May raise ``NothingToDraw``.
        needs: pattern of the files it reads, relative to the run folder; without any of them it is not drawn.
    """

    name: str
    draw: Callable[[Path], Figure | Mapping[str, Figure]] | str
    needs: str

    def write(self, run_dir: Path, out_dir: Path) -> list[Path]:
        """Draw and save, in the style of all figures.

        Returns:
            The files written; none if there is nothing to draw.

        Raises:
            RunError: a file is malformed, or ``draw`` failed.
        """
        if not any(run_dir.glob(self.needs)):
            return []
        try:
            with styled():
                drawn = resolve(self.draw)(run_dir)
            figures = drawn if isinstance(drawn, Mapping) else {"": drawn}
            return [save(figure, out_dir / f"{self.name}{ending}.png") for ending, figure in figures.items()]
        except NothingToDraw:
            return []
        except AtrcnasError:
            raise
        except Exception as error:  # a plugin's own code may raise anything
            got = f"{type(error).__name__}: {error!s:.200}"
            problem = f"{run_dir}: plot '{self.name}' failed ({got})"
            raise RunError(f"{problem}. Correct the plugin that draws it.") from error


PLOTS: Registry[Plot] = Registry("plot")


def known(registry: Registry[RecordT], name: str, where: Any) -> RecordT:
    """The record called ``name``.

    Raises:
        RunError: not registered; ``where`` is the file that names it.
    """
    try:
        return registry[name]
    except ConfigError as error:
        way_out = "If a plugin defines it, import that first (atrcnas plot --plugin MODULE)."
        raise RunError(f"{where}: {error} {way_out}") from error
