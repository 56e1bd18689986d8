"""What context configs cost: the network without contexts, and terms that a config pays for once if it uses any of theirs.

A kind of a pair is a term of its own. What several share is another one: a task's label branch, the regions that a source
has by its own label map, the layer that fuses a target's contexts, a kind that is used anywhere at a level.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_text
from atrcnas.runs.tables import read_table
from atrcnas.spec.kinds import KINDS, NONE, parts
from atrcnas.spec.pairs import Pair

Site = tuple[Pair, str]
Pools = Mapping[Pair, tuple[str, ...]]
BASE = "base"
MEASURES = ("latency_ms", "multiply_adds", "parameters")
MARGIN = "margin"
MEMORY = "memory_mb"  # shown beside the measures; it does not add up


@dataclass(frozen=True)
class Term:
    """What a config pays for once.

    Attributes:
        name: as in costs.csv.
        sort: equal in terms whose parts have the same shapes, if their label maps have as many channels.
        labels: the tasks whose label maps these are.
    """

    name: str
    sort: str
    labels: tuple[str, ...] = ()


def terms(pools: Pools) -> dict[Term, frozenset[Site]]:
    """Each term of a search space, and the kinds of pairs of which any one makes a config pay for it."""
    found: dict[Term, set[Site]] = {}
    for pair, pool in pools.items():
        for kind in pool:
            for term in _terms_of(pair, kind):
                found.setdefault(term, set()).add((pair, kind))
    return {term: frozenset(sites) for term, sites in found.items()}


def used(kinds: Mapping[Pair, str]) -> set[Term]:
    """The terms that a config pays for."""
    return {term for pair, kind in kinds.items() for part in parts(kind) for term in _terms_of(pair, part)}


@functools.cache  # asked for at every change that a choice within a budget tries
def _terms_of(pair: Pair, kind: str) -> tuple[Term, ...]:
    if kind == NONE:
        return ()
    needed = ((pair.target, KINDS[kind].needs_target_label), (pair.source, KINDS[kind].needs_source_label))
    labels = tuple(task for task, is_needed in needed if is_needed)
    at = f"at level {pair.level}"
    by_source = Term(f"{kind} of {pair.source} {at}", f"{kind} of a source {at}", (pair.source,))
    return (
        Term(f"{pair}: {kind}", f"{kind} {at}", labels),
        Term(f"{kind} {at}", f"{kind} {at}, once for all"),
        Term(f"contexts of {pair.target} {at}", f"fusing {at}"),
        *([by_source] if KINDS[kind].needs_source_label else []),
        *(Term(f"labels of {task} {at}", f"labels {at}", (task,)) for task in labels),
    )


@dataclass(frozen=True)
class CostTable:
    """The cost of every term of a search space.

    Attributes:
        costs: measure -> term -> cost, :data:`BASE` among them; milliseconds for one image, or numbers. What was
            measured by `atrcnas costs` has the peak of memory too, for the terms of a single pair.
        margin: measure -> by what share a network may cost more than predicted, >= 0; none where it is exact.
    """

    costs: Mapping[str, Mapping[str, float]]
    margin: Mapping[str, float] = field(default_factory=dict)

    def predict(self, kinds: Mapping[Pair, str], measure: str) -> float:
        """The cost of a config."""
        column = self.costs[measure]
        return column[BASE] + sum(column[term.name] for term in used(kinds))

    def save(self, path: Path) -> None:
        """Write costs.csv: a row per term, and one of margins."""
        frame = pd.DataFrame({measure: pd.Series(dict(column)) for measure, column in self.costs.items()}).fillna(0.0)
        frame.loc[MARGIN] = [self.margin.get(str(measure), 0.0) for measure in frame]
        write_text(path, frame.rename_axis("term").to_csv(float_format="%.6g", lineterminator="\n"))

    @classmethod
    def load(cls, path: Path, pools: Pools) -> CostTable:
        """Read costs.csv.

        Raises:
            RunError: it cannot be read, or misses a term of this search space.
        """
        frame = read_table(path, {"term": str, **dict.fromkeys(MEASURES, float)}).set_index("term")
        missing = [name for name in (BASE, *(term.name for term in terms(pools))) if name not in frame.index]
        wrong = [str(name) for name, row in frame.iterrows() if not (row >= 0).all()]
        if missing or wrong:
            what = f"a cost for '{missing[0]}', got none" if missing else f"costs of at least 0 for '{wrong[0]}'"
            raise RunError(f"{path}: expected {what}. Run `atrcnas costs EXPERIMENT --out FILE` for this search space.")
        found = {measure: {str(name): float(cost) for name, cost in frame[measure].items()} for measure in MEASURES}
        return cls(found, {measure: column.pop(MARGIN, 0.0) for measure, column in found.items()})
