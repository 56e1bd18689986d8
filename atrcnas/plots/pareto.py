"""Score against cost: the front of a search by rows, and the points that were chosen on it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from atrcnas.ground.errors import RunError
from atrcnas.plots.canvas import legend_below, panels
from atrcnas.runs.tables import read_table

LABELS = {"latency_ms": "latency, ms", "multiply_adds": "multiply-adds", "parameters": "parameters"}
WIDTH_IN = 4.6


def draw_pareto(front: Path, chosen: Path) -> Figure:
    """Draw the front.

    Args:
        front: front.csv.
        chosen: chosen.csv.

    Raises:
        RunError: a file is missing or malformed.
    """
    measure = next((name for name in LABELS if name in front.read_text(encoding="utf-8").split("\n")[0].split(",")), "")
    if not measure:
        raise RunError(f"{front}: expected a column {', '.join(LABELS)}, got none. Run `atrcnas pareto` again.")
    figure, (axes,) = panels("Best contexts at every cost", 1, 1, (WIDTH_IN, 2.8))
    points, marked = (read_table(path, {measure: float, "score": float}) for path in (front, chosen))
    axes.step(points[measure], points["score"], where="post", label="front")
    axes.plot(marked[measure], marked["score"], "o", label="chosen")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel(LABELS[measure])
    if measure != "latency_ms":
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_ylabel("score with the supernet's weights\n(minus the validation loss)")
    legend_below(figure, WIDTH_IN)
    return figure
