"""Plots: figures made from run files only. No torch here, and no pyplot: every figure stands alone."""

from __future__ import annotations

from pathlib import Path

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.colourise import colourise
from atrcnas.plots.curves import draw_losses, draw_scores, has_scores, plot_losses, plot_scores
from atrcnas.plots.gallery import draw_gallery, plot_gallery
from atrcnas.plots.heatmap import draw_heatmap, plot_heatmap
from atrcnas.plots.palette import palette
from atrcnas.plots.probabilities import draw_probabilities, plot_probabilities
from atrcnas.runs.folder import STAGES, RunFolder
from atrcnas.spec.context_config import ContextConfig

__all__ = [
    "colourise",
    "draw_gallery",
    "draw_heatmap",
    "draw_losses",
    "draw_probabilities",
    "draw_scores",
    "palette",
    "plot_contexts",
    "plot_gallery",
    "plot_heatmap",
    "plot_losses",
    "plot_probabilities",
    "plot_run",
    "plot_scores",
]


def plot_contexts(file: Path, out: Path) -> Path:
    """Draw a context config: our YAML, the reference implementation's JSON, or a bundled preset by name.

    Args:
        file: the config.
        out: ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        RunError: not found, not a context config, or one that fits any tasks and so has no table to draw.
    """
    try:
        config = ContextConfig.load(file)
    except ConfigError as error:
        raise RunError(str(error)) from error
    return plot_heatmap(config, out, str(file))


def plot_run(run_dir: Path, out_dir: Path | None = None) -> list[Path]:
    """Make every figure whose inputs are in the run folder.

    Args:
        run_dir: as the engine writes it.
        out_dir: where the pictures go; ``run_dir/plots`` if None.

    Returns:
        The files written: of ``contexts.png``, ``probabilities.png`` (``probabilities_level8.png``), ``losses.png``,
        ``scores.png`` and ``gallery.png`` those that could be made.

    Raises:
        RunError: no such folder, nothing to plot in it, or an input is malformed or empty.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: expected a run folder, got none. Check the path.")
    folder = RunFolder(run_dir)
    out = folder.plots if out_dir is None else out_dir
    contexts, logits, samples = folder.contexts, folder.logits, folder.samples
    metrics = {stage: path for stage in STAGES if (path := folder.metrics(stage)).is_file()}
    made: list[Path] = []
    if contexts.is_file():
        made.append(plot_contexts(contexts, out / "contexts.png"))
    if logits.is_file():
        made += plot_probabilities(logits, out)
    if metrics:
        made.append(plot_losses(metrics, out / "losses.png"))
        if has_scores(metrics):
            made.append(plot_scores(metrics, out / "scores.png"))
    if any(samples.glob("*.npz")):
        made.append(plot_gallery(samples, out / "gallery.png"))
    if not made:
        inputs = "contexts.yaml, search/logits.csv, search/metrics.csv, retrain/metrics.csv or samples/*.npz"
        raise RunError(f"{run_dir}: expected {inputs}, got none of them. Run 'atrcnas run' or 'atrcnas search' first.")
    return made
