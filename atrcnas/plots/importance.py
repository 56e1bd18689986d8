"""What the context of each pair is worth to the trained network."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from atrcnas.plots.contexts import Cell, draw_cells
from atrcnas.runs.tables import IMPORTANCE, read_some
from atrcnas.spec.kinds import parts
from atrcnas.spec.pairs import Pair

_SPLITS = {"train": "on the selection part", "val": "on the validation split"}


def draw_importance(table: Path, name: str = "") -> Figure:
    """Draw what Delta_m loses without the context of each pair.

    Args:
        table: importance.csv.
        name: of the experiment.

    Raises:
        RunError: missing, malformed or empty.
    """
    rows = read_some(table, IMPORTANCE)
    by_pair = rows.groupby(["level", "target", "source", "kind"], sort=False)["drop"]
    drops = by_pair.agg(lambda own: own.mean(skipna=False))
    most = max(float(drops.max(skipna=True)), 0.0) or 1.0
    cells = {
        Pair(row["target"], row["source"], row["level"]): _cell(row["kind"], row["drop"], most)
        for row in drops.reset_index().to_dict("records")
    }
    where = ", ".join(_SPLITS.get(split, split) for split in rows["split"].unique())
    note = (
        f"number and intensity: what Delta_m loses without this context, percent, {where}\n"
        "(weights as trained with it, BatchNorm statistics computed again)"
    )
    return draw_cells(cells, ": ".join(["Importance of each pair's context", *filter(None, [name])]), note)


def _cell(kind: str, drop: float, most: float) -> Cell:
    if math.isnan(drop):
        return Cell(parts(kind), 0.0, "unknown")
    return Cell(parts(kind), max(drop, 0.0) / most, f"{drop:+.1f}")
