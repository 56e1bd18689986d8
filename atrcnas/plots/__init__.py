"""Plots: figures made from run files only. No torch here, and no pyplot: every figure stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.canvas import save
from atrcnas.plots.colourise import colourise
from atrcnas.plots.confusion import draw_confusion
from atrcnas.plots.contexts import draw_heatmap
from atrcnas.plots.curves import draw_losses, draw_scores
from atrcnas.plots.gallery import draw_gallery
from atrcnas.plots.importance import draw_importance
from atrcnas.plots.palette import palette
from atrcnas.plots.pareto import draw_pareto
from atrcnas.plots.probabilities import draw_probabilities
from atrcnas.plots.registry import PLOTS, NothingToDraw, Plot
from atrcnas.runs.folder import STAGES, RunFolder
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.pairs import BASE_LEVEL

__all__ = [
    "PLOTS",
    "NothingToDraw",
    "Plot",
    "colourise",
    "draw_confusion",
    "draw_gallery",
    "draw_heatmap",
    "draw_importance",
    "draw_losses",
]
__all__ += ["draw_probabilities", "draw_scores", "palette", "plot_contexts", "plot_run"]


def plot_contexts(file: Path, out: Path) -> Path:
    """Draw a context config: our YAML, the reference implementation's JSON, or a bundled preset by name.

    Args:
        file: the config.
        out: ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        RunError: not found, or not a context config.
    """
    return save(_draw_contexts(file), out)


def plot_run(run_dir: Path, out_dir: Path | None = None) -> list[Path]:
    """Make every figure of ``PLOTS`` whose inputs are in the run folder.

    Args:
        run_dir: as the engine writes it.
        out_dir: where the pictures go; ``run_dir/plots`` if None.

    Returns:
        The files written, such as ``contexts.png``, ``probabilities.png`` and ``probabilities_level8.png``.

    Raises:
        RunError: no such folder, nothing to plot in it, or an input is malformed or empty.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: expected a run folder, got none. Check the path.")
    out = RunFolder(run_dir).plots if out_dir is None else out_dir
    made = [path for plot in PLOTS for path in plot.write(run_dir, out)]
    if not made:
        inputs = ", ".join(dict.fromkeys(plot.needs for plot in PLOTS))
        raise RunError(
            f"{run_dir}: expected one of {inputs}, got none of them. Run 'atrcnas run' or 'atrcnas search' first."
        )
    return made


def _draw_contexts(file: Path) -> Figure:
    try:
        return draw_heatmap(ContextConfig.load(file), str(file))
    except ConfigError as error:
        raise RunError(str(error)) from error


def _draw_probabilities(run_dir: Path) -> Mapping[str, Figure]:
    by_level = draw_probabilities(RunFolder(run_dir).logits)
    return {"" if level == BASE_LEVEL else f"_level{level}": figure for level, figure in by_level.items()}


def _metrics(run_dir: Path) -> Mapping[str, Path]:
    found = {stage: RunFolder(run_dir).metrics(stage) for stage in STAGES}
    return {phase: path for phase, path in found.items() if path.is_file()}


def _draw_scores(run_dir: Path) -> Figure:
    return draw_scores(_metrics(run_dir), RunFolder(run_dir).task_table())


def _draw_importance(run_dir: Path) -> Figure:
    folder = RunFolder(run_dir)
    return draw_importance(folder.importance, folder.load_experiment().name if folder.experiment.is_file() else "")


def _draw_confusion(run_dir: Path) -> Mapping[str, Figure]:
    folder = RunFolder(run_dir)
    return draw_confusion(folder.confusion, folder.task_table())


def _draw_gallery(run_dir: Path) -> Figure:
    folder = RunFolder(run_dir)
    return draw_gallery(folder.samples, table=folder.task_table())


PLOTS.register(Plot("contexts", lambda run_dir: _draw_contexts(RunFolder(run_dir).contexts), "contexts.yaml"))
PLOTS.register(Plot("probabilities", _draw_probabilities, "search/logits.csv"))
PLOTS.register(Plot("importance", _draw_importance, "importance.csv"))
PLOTS.register(Plot("losses", lambda run_dir: draw_losses(_metrics(run_dir)), "[rs]e*/metrics.csv"))
PLOTS.register(Plot("scores", _draw_scores, "[rs]e*/metrics.csv"))
PLOTS.register(Plot("confusion", _draw_confusion, "confusion.csv"))
PLOTS.register(Plot("gallery", _draw_gallery, "samples/*.npz"))
PLOTS.register(
    Plot("pareto", lambda run: draw_pareto(run / "pareto/front.csv", run / "pareto/chosen.csv"), "pareto/front.csv")
)
