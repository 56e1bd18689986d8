"""The heat map of a run: each pair with what is said when it is pointed at, and the curve that a click shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.colors import to_hex, to_rgb

from atrcnas.plots.contexts import Cell, cells_of, opacity
from atrcnas.plots.registry import known
from atrcnas.report.charts import MAX_POINTS, Chart, Curve, chart
from atrcnas.report.reading import RunView
from atrcnas.spec.kinds import KINDS, NONE, parts
from atrcnas.spec.pairs import Pair

_DASHES = ("", "6 3", "6 2 1 2", "2 2")
_ALL_POINTS = 20_000  # of all pairs' curves together, which bounds the size of the page


class Fact(NamedTuple):
    """A line of what is said of a pair."""

    name: str
    value: str


class Box(NamedTuple):
    """One pair.

    Attributes:
        id: of its curve on the page.
        pair: which.
        kind: chosen.
        letters: of the kind, or the two kinds.
        background: CSS.
        number: probability of the choice, "" if unknown.
        mark: "?" for an undecided pair.
        facts: what is said when it is pointed at.
        curve: probabilities of its kinds by step; None without a search's log.
    """

    id: str
    pair: Pair
    kind: str
    letters: str
    background: str
    number: str
    mark: str
    facts: tuple[Fact, ...]
    curve: Chart | None


class Level(NamedTuple):
    """The table of one level: sources, then a row per target."""

    level: int
    sources: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Box | None, ...]], ...]


class HeatMap(NamedTuple):
    """All pairs.

    Attributes:
        levels: one table each.
        key: letter, colour, name and description of each kind that occurs.
    """

    levels: tuple[Level, ...]
    key: tuple[tuple[str, str, str, str], ...]


def heat_map(view: RunView, number: int) -> HeatMap | None:
    """The heat map of a run; None without a context config.

    Args:
        view: the run.
        number: of the run on the page.

    Raises:
        RunError: the context config has no table to draw.
    """
    if view.contexts is None:
        return None
    cells = cells_of(view.contexts, str(view.folder.contexts))
    logs = _logs(view.chances)
    points = max(min(MAX_POINTS, _ALL_POINTS // max(sum(log["kind"].nunique() for log in logs.values()), 1)), 10)
    boxes = {
        pair: _box(view, f"run{number}-pair{index}", pair, cell, logs.get(pair), points)
        for index, (pair, cell) in enumerate(cells.items())
    }
    levels = dict.fromkeys(pair.level for pair in boxes)
    named = {part for cell in cells.values() for part in cell.kinds} | {NONE}
    named |= {str(kind) for log in logs.values() for kind in log["kind"].unique()}
    key = tuple((kind.letter, kind.colour, kind.name, kind.description) for kind in KINDS if kind.name in named)
    return HeatMap(tuple(_level(level, boxes) for level in levels), key)


def _logs(chances: pd.DataFrame | None) -> dict[Pair, pd.DataFrame]:
    if chances is None:
        return {}
    grouped = chances.groupby(["target", "source", "level"])
    return {Pair(str(target), str(source), int(str(level))): rows for (target, source, level), rows in grouped}


def _level(level: int, boxes: Mapping[Pair, Box]) -> Level:
    here = [pair for pair in boxes if pair.level == level]
    sources = tuple(dict.fromkeys(pair.source for pair in here))
    targets = dict.fromkeys(pair.target for pair in here)
    rows = tuple((target, tuple(boxes.get(Pair(target, source, level)) for source in sources)) for target in targets)
    return Level(level, sources, rows)


def _box(view: RunView, key: str, pair: Pair, cell: Cell, log: pd.DataFrame | None, points: int) -> Box:
    kinds = [known(KINDS, part, view.folder.contexts) for part in cell.kinds]
    stripes = [_on_white(kind.colour, opacity(cell)) for kind in kinds]
    shares = [
        f"{colour} {100 * at / len(stripes):g}% {100 * (at + 1) / len(stripes):g}%" for at, colour in enumerate(stripes)
    ]
    kind = "+".join(cell.kinds)
    return Box(
        key,
        pair,
        kind,
        "".join(part.letter for part in kinds),
        f"linear-gradient(90deg, {', '.join(shares)})",
        cell.number,
        cell.mark,
        (Fact("kind", f"{kind}: {KINDS[kind].description}"), *_facts(view, pair, cell, log)),
        None if log is None else _curve(pair, log, points),
    )


def _facts(view: RunView, pair: Pair, cell: Cell, log: pd.DataFrame | None) -> list[Fact]:
    origin = view.contexts.provenance if view.contexts else None
    chances = origin.probabilities.get(str(pair), {}) if origin else {}
    ranked = sorted(chances.items(), key=lambda item: -item[1])
    facts = [Fact("probability", ", ".join(f"{kind} {chance:.2f}" for kind, chance in ranked))] if ranked else []
    facts.append(Fact("cost", _cost(view, pair)))
    if cell.mark and origin and origin.undecided:
        facts.append(Fact("committed", f"not yet: the best kind leads by {origin.undecided[str(pair)]:.2f}"))
    elif log is not None:
        facts.append(Fact("committed", _settled(log)))
    return facts


def _settled(log: pd.DataFrame) -> str:
    at = _committed_at(log)
    if at is None:
        return "not yet"
    return "from the start, having one kind only" if log["kind"].nunique() == 1 else f"at step {at:g}"


def _cost(view: RunView, pair: Pair) -> str:
    costs: Any = (view.results or {}).get("costs", {}).get("pairs", {})
    own = costs.get(str(pair)) if isinstance(costs, dict) else None
    if not isinstance(own, dict) or not {"parameters", "multiply_adds"} <= own.keys():
        return "known after retraining" if view.results is None else "unknown; `atrcnas evaluate` measures it"
    return f"{own['multiply_adds'] / 1e6:.2f} M multiply-adds, {own['parameters'] / 1e3:.1f} k parameters"


def _committed_at(log: pd.DataFrame) -> float | None:
    steps = log["step"][log["committed"] > 0]
    return float(steps.min()) if len(steps) else None


def _curve(pair: Pair, log: pd.DataFrame, points: int) -> Chart:
    curves = []
    for name, rows in log.groupby("kind", sort=False):
        kind = KINDS[str(name)]
        dash = _DASHES[KINDS.names.index(kind.name) % len(_DASHES)]
        legend = f"{kind.letter}  {kind.name}"
        curves.append(
            Curve(legend, rows["step"].to_numpy(float), rows["probability"].to_numpy(float), kind.colour, dash)
        )
    at = _committed_at(log)
    note = "not committed" if at is None else f"dotted: committed at step {at:g}"
    return chart(f"{pair}: probability of each kind", curves, note, (0.0, 1.0), at, points)


def _on_white(colour: str, share: float) -> str:
    red, green, blue = (share * part + 1 - share for part in to_rgb(colour))
    return to_hex((red, green, blue))


def chosen_kinds(kinds: Mapping[Pair, str]) -> dict[str, int]:
    """How often each kind is chosen, the most frequent first; two used together count once each."""
    counts: dict[str, int] = {}
    for kind in kinds.values():
        for part in parts(kind):
            counts[part] = counts.get(part, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
